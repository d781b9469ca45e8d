"""Takes a runner out of service and puts it back."""

from __future__ import annotations

from dataclasses import dataclass

from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.refusals import unavailable
from vbatch.gateway.core.runner_drains import STOPPED, RunnerDrains, no_such_runner, not_running
from vbatch.gateway.core.server_views import RunnerRecord
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.writing import append
from vbatch.gateway.ports import Dependencies


@dataclass(frozen=True, slots=True)
class RunnerSteering:
    dependencies: Dependencies
    feed: AccessFeed

    @property
    def drains(self) -> RunnerDrains:
        return self.feed.runner_drains

    async def drain(self, caller: Caller, runner_id: str, goal: e.DrainGoal, reason: str) -> RunnerRecord:
        """Drain the runner, unless it is already drained with this goal. Raises Refusal."""
        runner = await self._find(runner_id)
        if goal is e.DrainGoal.RESTART and runner.state == STOPPED:
            raise not_running(runner_id)
        known = self.drains.find(runner_id)
        if known is None or known.goal is not goal:
            await self._record(
                e.RunnerDrainRequested(
                    runner_id=RunnerId(runner.id),
                    goal=goal,
                    by=caller.name,
                    reason=reason,
                    at=self.dependencies.now(),
                )
            )
        return runner

    async def resume(self, caller: Caller, runner_id: str) -> RunnerRecord:
        """Let the runner take work again. Resuming again is not an error. Raises Refusal."""
        runner = await self._find(runner_id)
        if self.drains.find(runner_id) is not None:
            await self._record(
                e.RunnerResumed(runner_id=RunnerId(runner.id), by=caller.name, at=self.dependencies.now())
            )
        return runner

    async def _find(self, runner_id: str) -> RunnerRecord:
        """Raises Refusal."""
        runners = await self.dependencies.reads.runners()
        found = next((runner for runner in runners if runner.id == runner_id), None)
        if found is None:
            raise no_such_runner(runner_id)
        return found

    async def _record(self, event: e.Event) -> None:
        """Append the event. Raises Refusal when the write succeeded but this gateway has not read it back yet."""
        sequence = await append(self.dependencies, event)
        if not await self.feed.reaches(sequence, self.dependencies.own_write_seconds_max):
            raise unavailable("Your request was recorded, but is not in force yet.")
