"""Keeps models loaded while another one runs: beside it if both fit, asleep if the device supports it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from types import TracebackType

import structlog

from vbatch.contracts.events import EngineOrigin
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.device import free_bytes, machine_free_bytes
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher, RunningEngine
from vbatch.gpu_runner.core.canary import Canary, agree, canary_in, canary_question
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.fleet.fleet import Replica
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.model_cache import (
    WAKES_MAX,
    CachedModel,
    DeviceBudget,
    Measure,
    Need,
    Step,
    make_space,
    residue_grows,
)
from vbatch.gpu_runner.core.profile import Profile
from vbatch.gpu_runner.ports import (
    Answer,
    AnswerTooLarge,
    ConnectionLost,
    Gate,
    OpenAnswer,
    RequestTimedOut,
    open_gate,
)

SLEEP, WAKE = "/sleep?level=1&mode=keep", "/wake_up"
NAP_SECONDS_MAX = 60.0
"""The time to fall asleep, to wake up, or to answer the canary; published figures are in seconds."""

DRAIN_SECONDS_MAX = 30.0
"""How long a model that has to leave the device waits for the answers that clients still read."""

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass
class _Loaded:
    """A loaded model. `canary` is its answer before its first sleep, `residue_bytes` what that sleep left on the
    device."""

    engine: RunningEngine
    need: Need
    used_at: float
    is_asleep: bool = False
    is_leaving: bool = False
    wakes: int = 0
    canary: Canary | None = None
    residue_bytes: int | None = None
    open_count: int = 0
    """The number of answers that are being read piece by piece."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever one of these answers ends."""

    @property
    def answers(self) -> bool:
        """Whether it takes requests."""
        return not (self.is_asleep or self.is_leaving)

    async def drained(self) -> None:
        """Wait until no client reads an answer of this engine any more, but at most DRAIN_SECONDS_MAX."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                while self.open_count:
                    self.closed.clear()
                    await self.closed.wait()


class _CountedAnswer(AbstractAsyncContextManager[OpenAnswer]):
    """Counts an answer as open while the block runs."""

    def __init__(self, loaded: _Loaded, answer: AbstractAsyncContextManager[OpenAnswer]) -> None:
        self._loaded = loaded
        self._answer = answer

    async def __aenter__(self) -> OpenAnswer:
        self._loaded.open_count += 1
        try:
            return await self._answer.__aenter__()
        except BaseException:
            self._left()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._answer.__aexit__(kind, error, trace)
        finally:
            self._left()

    def _left(self) -> None:
        self._loaded.open_count -= 1
        self._loaded.closed.set()


@dataclass(frozen=True)
class CachedEngine:
    """An engine in use. After `release` it may stay loaded; after `stop` it is gone completely."""

    loaded: _Loaded
    model_cache: ModelCache

    @property
    def definition(self) -> ModelDefinition:
        return self.loaded.engine.definition

    @property
    def concurrency(self) -> int:
        return self.loaded.engine.concurrency

    @property
    def places(self) -> int | None:
        return self.loaded.engine.places

    @property
    def replicas(self) -> Sequence[Replica]:
        return self.loaded.engine.replicas

    def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate, group: int = 0) -> Awaitable[Answer]:
        return self.loaded.engine.ask(endpoint, body, gate, group)

    @property
    def has_priority(self) -> bool:
        return self.loaded.engine.has_priority

    def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AbstractAsyncContextManager[OpenAnswer]:
        return _CountedAnswer(self.loaded, self.loaded.engine.open(endpoint, body, headers))

    async def is_healthy(self) -> bool:
        return await self.loaded.engine.is_healthy()

    async def progress(self) -> str | None:
        return await self.loaded.engine.progress()

    async def stats(self) -> EngineStats | None:
        return await self.loaded.engine.stats()

    async def metrics(self) -> bytes:
        return await self.loaded.engine.metrics()

    async def gone(self) -> str:
        return await self.loaded.engine.gone()

    async def release(self) -> None:
        self.model_cache.keep(self.loaded)

    async def stop(self) -> None:
        await self.loaded.engine.stop()


@dataclass(frozen=True)
class ModelCache:
    """A launcher that keeps engines loaded while memory allows. One engine is in use at a time."""

    launcher: EngineLauncher
    device: Device
    limits: Limits
    clock: Callable[[], float]
    _loaded: dict[ModelId, _Loaded] = field(default_factory=dict)

    async def launch(self, definition: ModelDefinition) -> CachedEngine:
        """Return the engine, at once if the model is loaded. Raises EngineFailed."""
        need = await self.launcher.need(definition)
        found = self._loaded.pop(definition.id, None)
        if found and await self._is_usable_again(found, definition):
            return CachedEngine(found, self)
        await self._apply(make_space(need, self._others(), await self._room()))
        engine = await self.launcher.launch(definition)
        return CachedEngine(_Loaded(engine, need, self.clock()), self)

    async def origin(self, definition: ModelDefinition) -> EngineOrigin:
        return await self.launcher.origin(definition)

    async def profile(self, definition: ModelDefinition) -> Profile:
        return await self.launcher.profile(definition)

    async def expect(self, definition: ModelDefinition) -> None:
        if definition.id not in self._loaded:
            await self.launcher.expect(definition)

    def resident(self, model: ModelId) -> CachedEngine | None:
        found = self._loaded.get(model)
        return CachedEngine(found, self) if found and found.answers else None

    @property
    def residents(self) -> Sequence[ModelId]:
        return [model for model, loaded in self._loaded.items() if loaded.answers]

    async def forget(self, model: ModelId) -> None:
        found = self._loaded.get(model)
        if found and found.answers and not await found.engine.is_healthy() and self._loaded.get(model) is found:
            del self._loaded[model]
            await found.engine.stop()

    async def close(self) -> None:
        """Stop every loaded engine that is not in use, and the standby."""
        async with asyncio.TaskGroup() as tasks:
            for loaded in self._loaded.values():
                tasks.create_task(loaded.engine.stop())
            tasks.create_task(self.launcher.close())
        self._loaded.clear()

    def keep(self, loaded: _Loaded) -> None:
        loaded.used_at = self.clock()
        self._loaded[loaded.engine.definition.id] = loaded

    async def _is_usable_again(self, found: _Loaded, definition: ModelDefinition) -> bool:
        """Whether the engine is awake, healthy and still current; otherwise it is stopped, so the model restarts."""
        is_usable = found.engine.definition == definition
        try:
            if is_usable and found.is_asleep:
                is_usable = await self._woken(found)
            if is_usable and await found.engine.is_healthy():
                return True
        except BaseException:
            await found.engine.stop()
            raise
        await found.engine.stop()
        return False

    async def _woken(self, found: _Loaded) -> bool:
        """Whether the engine answers after waking up as it did before its first sleep."""
        awake = Need(max(0, (found.need.device_bytes or 0) - found.need.residue_bytes))
        await self._apply(make_space(awake, self._others(), await self._room()))
        if not await _told(found.engine, WAKE):
            return False
        found.is_asleep, found.wakes = False, found.wakes + 1
        said = await _canary(found.engine)
        is_sane = said is not None and found.canary is not None and agree(found.canary, said)
        if not is_sane:
            log.error("woke_up_wrong", model=found.engine.definition.id, wakes=found.wakes)
        return is_sane

    async def _apply(self, steps: list[Step]) -> None:
        for step in steps:
            loaded = self._loaded[step.model]
            loaded.is_leaving = True
            await loaded.drained()
            if step.measure is Measure.SLEEP and await self._asleep(loaded):
                loaded.is_leaving = False
                continue
            del self._loaded[step.model]
            await loaded.engine.stop()

    async def _asleep(self, loaded: _Loaded) -> bool:
        """Whether the engine is asleep and leaves no more on the device than its first sleep did."""
        if loaded.canary is None:
            loaded.canary = await _canary(loaded.engine)
        before = await free_bytes(self.device)
        if loaded.canary is None or not await _told(loaded.engine, SLEEP):
            return False
        loaded.is_asleep = True
        after = await free_bytes(self.device)
        return before is None or after is None or _is_clean(loaded, freed_bytes=after - before)

    def _others(self) -> list[CachedModel]:
        return [
            CachedModel(
                model,
                loaded.need,
                loaded.used_at,
                loaded.is_asleep,
                can_sleep=loaded.engine.can_sleep and loaded.wakes < WAKES_MAX,
                is_pinned=loaded.engine.definition.pinned,
            )
            for model, loaded in self._loaded.items()
        ]

    async def _room(self) -> DeviceBudget:
        spare = self.limits.standby_spare_bytes
        host = machine_free_bytes() - spare
        device = await free_bytes(self.device)
        return DeviceBudget(
            host if device is None else device, host, self.limits.residents_max, self.limits.sleepers_max
        )


async def _told(engine: RunningEngine, path: str) -> bool:
    return await _answered(engine, path, b"") is not None


async def _canary(engine: RunningEngine) -> Canary | None:
    endpoint, body = canary_question(engine.definition.id, engine.definition.endpoints)
    answer = await _answered(engine, endpoint, body)
    return canary_in(answer) if answer is not None else None


async def _answered(engine: RunningEngine, path: str, body: bytes) -> bytes | None:
    """Return the body of a 200; None for any other answer or a timeout."""
    try:
        async with asyncio.timeout(NAP_SECONDS_MAX):
            answer = await engine.ask(path, body)
    except (TimeoutError, ConnectionLost, RequestTimedOut, AnswerTooLarge) as error:
        log.warning("engine_not_answering", path=path, reason=str(error))
        return None
    return answer.body if answer.status_code == 200 else None


def _is_clean(loaded: _Loaded, *, freed_bytes: int) -> bool:
    """Whether no more is left on the device than at the first sleep, which is noted."""
    residue = max(0, (loaded.need.device_bytes or 0) - freed_bytes)
    first = loaded.residue_bytes = residue if loaded.residue_bytes is None else loaded.residue_bytes
    return not residue_grows(first, residue)
