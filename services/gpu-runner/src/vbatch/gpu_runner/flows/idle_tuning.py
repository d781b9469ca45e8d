"""Measures the settings of a loaded model while nothing runs, and stops at once when anything does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import structlog

from vbatch.contracts.events import ProfileSetting, ProfileTuned
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.idle_tuning import (
    REQUESTS,
    Tuned,
    alternatives,
    described_changes,
    is_tuned_when_idle,
    next_candidate,
    verdict,
)
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.tuning import Candidate, Trial
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.tuning import tried
from vbatch.gpu_runner.ports import Clock, TrialLauncher, TunedSettings

TRIAL_SHARE = 1 / 5
"""The part of the time for one model that one engine may take, its start included."""

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass(frozen=True)
class _Round:
    """What is known of one model so far; an interrupted round continues when nothing runs again. `spells` are the
    seconds of each time that it was measured."""

    definition: ModelDefinition
    completed: ModelDefinition
    others: list[Candidate]
    trials: list[Trial] = field(default_factory=list)
    spells: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(self.spells)


@dataclass(frozen=True, kw_only=True)
class IdleTuner:
    """`launcher` starts engines beside those that serve, which are never asked anything here."""

    runner_id: RunnerId
    epoch: int
    device: Device
    launcher: TrialLauncher
    settings: TunedSettings
    tell: Callable[[ProfileTuned], None]
    changed: ChangeSignal
    limits: Limits
    now: Clock
    is_idle: Callable[[], bool]
    _rounds: dict[ModelId, _Round] = field(default_factory=dict)
    """The newest round alone."""

    async def watch(self, definition: ModelDefinition) -> None:
        """Measure the settings of this model, which is loaded, whenever nothing runs. Return when that is done, or is
        not due; cancelling it ends the engine that is being measured."""
        if not is_tuned_when_idle(self.limits.idle_tuning, definition, self.device):
            return
        if await self.settings.find(definition) is not None:
            return
        tuning = await self._round_of(definition)
        is_done = not tuning.others or tuning.seconds >= self.limits.idle_tuning_seconds_max
        while not is_done:
            await self._until_rested()
            is_done = await self._while_idle(self._measure(tuning))

    async def _round_of(self, definition: ModelDefinition) -> _Round:
        """Return the round of this model, or begin it. Only the newest round is kept."""
        begun = self._rounds.get(definition.id)
        if begun is None or begun.definition != definition:
            profile = await self.launcher.profile(definition)
            begun = _Round(definition, profile.definition, alternatives(definition, profile, self.device))
            self._rounds.clear()
            self._rounds[definition.id] = begun
        return begun

    async def _until_rested(self) -> None:
        while not await self._rests(self.limits.idle_tuning_rest_seconds):
            pass  # something ran; wait again

    async def _rests(self, seconds: float) -> bool:
        """Whether nothing runs for this long, once nothing runs."""
        while not self.is_idle():
            await self.changed.wait()
        try:
            async with asyncio.timeout(seconds):
                while self.is_idle():
                    await self.changed.wait()
        except TimeoutError:
            return True
        return False

    async def _while_idle(self, work: Coroutine[None, None, None]) -> bool:
        """Do the work until it ends or anything is to run; return whether it ended."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _task: self.changed.fire())
        try:
            while self.is_idle() and not task.done():
                await self.changed.wait()
        finally:
            task.cancel()
            await asyncio.wait([task])
        if task.cancelled():
            log.info("idle_tuning_interrupted")
            return False
        task.result()
        return True

    async def _measure(self, tuning: _Round) -> None:
        """Measure what is left of the round; report the result, or that there is none."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self.limits.idle_tuning_seconds_max - tuning.seconds):
                while (candidate := next_candidate(tuning.trials, tuning.others)) is not None:
                    tuning.trials.append(await self._trial(candidate, tuning))
        except TimeoutError:
            log.warning("idle_tuning_gave_up", model=tuning.definition.id, trials=len(tuning.trials))
            return
        finally:
            tuning.spells.append(clock() - began)
        tuned = verdict(tuning.trials, tuning.others)
        if tuned is None:
            log.warning("idle_tuning_impossible", model=tuning.definition.id, reason=tuning.trials[-1].fault)
        else:
            await self._conclude(tuning, tuned)

    async def _trial(self, candidate: Candidate, tuning: _Round) -> Trial:
        seconds_max = TRIAL_SHARE * self.limits.idle_tuning_seconds_max
        try:
            async with asyncio.timeout(seconds_max):
                trial = await tried(candidate, tuning.completed, self.device, self.launcher, REQUESTS)
        except TimeoutError:
            trial = Trial(candidate, REQUESTS, fault=f"not measured within {seconds_max:g} s")
        log.info("idle_tuning_trial", settings=str(candidate), rate=trial.requests_a_second, fault=trial.fault)
        return trial

    async def _conclude(self, tuning: _Round, tuned: Tuned) -> None:
        changes = described_changes(tuned)
        origin = await self.launcher.origin(tuning.definition)
        await self.settings.keep(tuning.definition, tuned)  # nothing is awaited between this and the event
        reasons = {choice.name: choice.reason for choice in tuned.choices()}
        event = ProfileTuned(
            at=self.now(),
            runner_id=self.runner_id,
            epoch=self.epoch,
            model=tuning.definition.id,
            device=self.device.name,
            engine=origin.engine,
            changes=tuple(ProfileSetting(name=name, value=value, reason=reasons[name]) for name, value in changes),
            rate_before=tuned.rate_before,
            rate=tuned.rate,
            trial_count=len(tuning.trials),
            seconds=tuning.seconds,
        )
        self.tell(event)
        log.info("profile_tuned", model=event.model, changes=dict(changes), rate=tuned.rate, before=tuned.rate_before)
