"""Obeys the drain of a runner: when nothing is inside its engines any more, it frees the device or ends the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from vbatch.contracts.events import DrainGoal, RunnerDrained
from vbatch.gpu_runner.core.draining import Drain
from vbatch.gpu_runner.flows.engine_session import EngineSession
from vbatch.gpu_runner.ports import Launcher

RESTART_REASON = "an administrator restarts it"

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass(frozen=True)
class Draining:
    """`restart` ends the process; its supervisor starts the next one."""

    drain: Drain
    session: EngineSession
    launcher: Launcher
    restart: Callable[[str], None]

    async def obey(self) -> None:
        """Obey each request once, until cancelled."""
        while True:
            if self.drain.is_due and self._has_finished():
                await self._conclude()
            else:
                await self.session.changed.wait()

    def _has_finished(self) -> bool:
        session = self.session
        is_empty = session.feed.slice_count == 0 and session.traffic.inside_count == 0
        return is_empty and not (self.drain.frees_device and session.holds_device)

    async def _conclude(self) -> None:
        session, request, goal = self.session, self.drain.request, self.drain.goal
        self.drain.done = request
        if goal is not DrainGoal.KEEP:
            await self.launcher.close()
        drained = RunnerDrained(
            runner_id=session.runner_id, epoch=session.epoch, goal=goal, request=request, at=session.now()
        )
        session.recorder.send(drained)
        log.info("runner_drained", goal=goal)
        if goal is DrainGoal.RESTART:
            self.restart(RESTART_REASON)
