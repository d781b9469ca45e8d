"""Turns a model's id into an engine that serves it with the memory that there is, or into the reason why it cannot."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from vbatch.contracts.events import EngineOrigin, ModelFailed, ModelLoaded, ModelLoading, ProfileLowered
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.contracts.limits import PROFILE_SETTINGS_COUNT_MAX
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.ladder import Ladder, memory_line
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.core.profile import Profile, described
from vbatch.gpu_runner.core.registry import Registry
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.recorder import Recorder
from vbatch.gpu_runner.ports import Clock, Engine, EngineFailed, Launcher

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


class NotLoaded(Exception):
    """Raised when the model did not start on this device; the text is for the owners of its batches."""


@dataclass(kw_only=True)
class Loading:
    runner_id: RunnerId
    epoch: int
    launcher: Launcher
    registry: Registry
    recorder: Recorder
    changed: ChangeSignal
    metrics: RunnerMetrics
    limits: Limits
    now: Clock
    ladder: Ladder = field(default_factory=Ladder)
    _origin: EngineOrigin = field(default_factory=EngineOrigin)
    """The origin of the engine that was launched last."""

    async def load(self, model: ModelId) -> Engine:
        """Load the model. Raises NotLoaded, after recording the event that says so."""
        definition = await self._definition(model)
        while True:
            started = self.ladder.applied(definition)
            self._send_loading(definition, await self.launcher.profile(started))
            try:
                engine = await self.launcher.launch(started)
                self._origin = await self.launcher.origin(started)
                return engine
            except EngineFailed as error:
                if not self._step_down(definition, str(error)):
                    detail = self.ladder.described(definition, str(error))
                    self._report_failure(model, detail)
                    raise NotLoaded(detail) from error

    def report_loaded(self, engine: Engine, wanted_at: float) -> None:
        model, now = engine.definition.id, asyncio.get_running_loop().time()
        seconds = now - wanted_at
        self.metrics.model, self.metrics.concurrency = model, engine.concurrency
        self.metrics.engine_start_count += 1
        self.metrics.count_swap(wanted_at, now)
        loaded = ModelLoaded(
            at=self.now(),
            runner_id=self.runner_id,
            epoch=self.epoch,
            model=model,
            seconds=seconds,
            window=engine.concurrency,
            origin=self._origin,
        )
        self.recorder.send(loaded)
        log.info("model_loaded", model=model, seconds=round(seconds, 3), concurrency=engine.concurrency)

    def report_concurrency(self, engine: Engine, concurrency: int) -> None:
        """Record that a loaded engine takes more requests than last reported, or far fewer."""
        self.recorder.send(
            ModelLoaded(
                at=self.now(),
                runner_id=self.runner_id,
                epoch=self.epoch,
                model=engine.definition.id,
                seconds=0.0,
                window=concurrency,
                origin=self._origin,
            )
        )
        log.info("concurrency_changed", model=engine.definition.id, concurrency=concurrency)

    async def expect(self, model: ModelId) -> None:
        """Prepare the start of the model that is likely next."""
        if definition := self.registry.find(model):
            await self.launcher.expect(definition)

    def likely_first(self) -> ModelId | None:
        """The model whose start may be prepared while no model has been requested yet."""
        found = self.registry.first_of_vllm()
        return found.id if found else None

    def is_current(self, engine: Engine) -> bool:
        """Whether the model would be started the same way as this engine was."""
        found = self.registry.find(engine.definition.id)
        return found is None or self.ladder.applied(found) == engine.definition

    def step_down(self, engine: Engine, words: str) -> bool:
        """Whether this engine died for lack of memory and its next start will take less."""
        found = self.registry.find(engine.definition.id)
        return self._step_down(found if found and self.is_current(engine) else engine.definition, words)

    async def _definition(self, model: ModelId) -> ModelDefinition:
        """Return the definition, which may arrive a little later than the first order for it."""
        try:
            async with asyncio.timeout(self.limits.model_wait_seconds):
                while (definition := self.registry.find(model)) is None:
                    await self.changed.wait()
        except TimeoutError as error:
            raise NotLoaded(f"the model {model} is not in the registry") from error
        return definition

    def _step_down(self, definition: ModelDefinition, words: str) -> bool:
        rung = self.ladder.step_down(definition, words)
        if rung is None:
            return False
        lowered = ProfileLowered(
            at=self.now(),
            runner_id=self.runner_id,
            epoch=self.epoch,
            model=definition.id,
            rung=rung.number,
            shortage=rung.shortage,
            argument=rung.name,
            before=str(rung.before),
            after=str(rung.after),
            detail=memory_line(words),
        )
        self.recorder.send(lowered)
        self.metrics.profile_lowered_count += 1
        log.warning("profile_lowered", model=definition.id, shortage=rung.shortage, rung=rung.number, step=str(rung))
        return True

    def _send_loading(self, definition: ModelDefinition, profile: Profile) -> None:
        lowered = {rung.name: rung.before for rung in reversed(self.ladder.rungs(definition))}
        settings = described(profile, lowered)[:PROFILE_SETTINGS_COUNT_MAX]
        model = definition.id
        self.recorder.send(
            ModelLoading(at=self.now(), runner_id=self.runner_id, epoch=self.epoch, model=model, profile=settings)
        )
        log.info("model_loading", model=model, profile={setting.name: setting.value for setting in settings})

    def _report_failure(self, model: ModelId, detail: str) -> None:
        self.metrics.model_failed_count += 1
        failed = ModelFailed(at=self.now(), runner_id=self.runner_id, epoch=self.epoch, model=model, detail=detail)
        self.recorder.send(failed)
        log.error("model_failed", model=model, detail=detail)
