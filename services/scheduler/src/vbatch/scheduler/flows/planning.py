"""Reading input files beside the event loop, and handing what they hold to the decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.ids import BatchId
from vbatch.scheduler.core.decide import Verdict, input_fault, missing_input
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.plan import Plan
from vbatch.scheduler.core.state import State
from vbatch.scheduler.core.validation import FileRules
from vbatch.scheduler.ports import Clock, InputMissing, Planner, PlanningTrouble

RETRY_SECONDS, RETRY_SECONDS_MAX = 0.2, 5.0
"""A worker that was killed is there again at once; a store that is away is asked ever less often."""

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input file may hold."""

    lines_max: int = 50_000
    line_bytes_max: int = 16 << 20


@dataclass
class Planning:
    """One task a batch whose plan is missing. `verdicts` wait here until the batch's validation is in the log."""

    state: State
    planner: Planner
    clock: Clock
    limits: Limits
    on_change: Callable[[], None]
    verdicts: dict[BatchId, Verdict] = field(default_factory=dict)
    _started: set[BatchId] = field(default_factory=set)

    def advance(self, tasks: asyncio.TaskGroup) -> None:
        """Give validated batches their plans, start reading for those that have none."""
        self._attach()
        for job in self.state.jobs.values():
            if job.batch_id not in self._started and self._is_wanted(job):
                self._started.add(job.batch_id)
                tasks.create_task(self._plan(job))

    def _attach(self) -> None:
        for batch_id, verdict in list(self.verdicts.items()):
            job = self.state.jobs.get(batch_id)
            if job is not None and job.ledger is None:
                continue  # the decision to validate or reject still needs the verdict
            if job is not None and isinstance(verdict, Plan):
                job.plan = verdict
            del self.verdicts[batch_id]
        self._started &= self.state.jobs.keys()

    def _is_wanted(self, job: Job) -> bool:
        if job.plan is not None or stop_asked_at(job, self.clock()) is not None:
            return False
        return job.ledger is not None or input_fault(self.state, job) is None

    async def _plan(self, job: Job) -> None:
        pause = RETRY_SECONDS
        while job.batch_id in self.state.jobs:
            try:
                self.verdicts[job.batch_id] = await self._verdict(job)
                reached(Failpoint.FILE_CHECKED)
                break
            except PlanningTrouble as error:
                log.warning("planning_failed", batch_id=job.batch_id, reason=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_SECONDS_MAX)
        self.on_change()

    async def _verdict(self, job: Job) -> Verdict:
        if job.file is None:
            return (missing_input(job),)
        try:
            return await self.planner.plan(job.file.blob, job.file.bytes, self._rules(job))
        except InputMissing:
            return (missing_input(job),)

    def _rules(self, job: Job) -> FileRules:
        endpoint = job.created.endpoint
        models = {it.id: it.endpoints for it in self.state.models.values()}
        if job.model is not None:  # validated before: it keeps its plan even if its model was removed since
            models[job.model] = (endpoint,)
        limits = self.limits
        return FileRules(endpoint, models, limits.lines_max, limits.line_bytes_max, job.model is not None)
