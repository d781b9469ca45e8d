"""Reads input files beside the event loop, and gives the results to the decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from vbatch.chassis.backoff import Backoff
from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.ids import BatchId
from vbatch.journal.quarantine import Quarantine
from vbatch.scheduler.core.decide import PlanResult, input_fault, missing_input
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileRules
from vbatch.scheduler.core.state.pending_batch import PendingBatch, stop_asked_at
from vbatch.scheduler.core.state.state import State
from vbatch.scheduler.ports import CheckerDied, Clock, InputMissing, Planner, PlanningTrouble

RETRY_SECONDS, RETRY_SECONDS_MAX = 0.2, 5.0
"""A killed worker is replaced at once; an unreachable store is tried less and less often."""

DEATHS_MAX = 6
"""How many workers in a row may die while they read one file. The pauses between them add up to more than six seconds,
in which the machine may find memory again."""

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input file may hold."""

    lines_max: int = 50_000
    line_bytes_max: int = 16 << 20
    may_mix_models: bool = False


@dataclass
class Planning:
    """One task for each batch whose plan is missing. `plan_results` wait until the batch's validation is in the log."""

    state: State
    planner: Planner
    clock: Clock
    limits: Limits
    on_change: Callable[[], None]
    quarantine: Quarantine
    plan_results: dict[BatchId, PlanResult] = field(default_factory=dict)
    _started: set[BatchId] = field(default_factory=set)
    _planned: set[BatchId] | None = None
    """The batches whose files may have a plan on disk; None until the plans of an earlier scheduler have been looked
    at."""

    def advance(self, tasks: asyncio.TaskGroup) -> None:
        """Give validated batches their plans, start reading for the others, and forget the plans of ended batches."""
        self._attach()
        if self._planned is None or not self._planned <= self.state.batches.keys():
            self._forget_plans_of_ended_batches()
        for batch in self.state.batches.values():
            if batch.batch_id not in self._started and self._is_wanted(batch):
                self._started.add(batch.batch_id)
                self._planned = (self._planned or set()) | {batch.batch_id}
                tasks.create_task(self._plan(batch))

    def _forget_plans_of_ended_batches(self) -> None:
        """A plan does not reveal what a file holds, but it is deleted with the last unfinished batch that reads the
        file."""
        self.planner.keep_only({batch.file.blob for batch in self.state.batches.values() if batch.file is not None})
        self._planned = set(self.state.batches)

    def _attach(self) -> None:
        for batch_id, result in list(self.plan_results.items()):
            batch = self.state.batches.get(batch_id)
            if batch is not None and batch.ledger is None:
                continue  # the decision to validate or reject still needs the result
            if batch is not None and isinstance(result, Plan):
                batch.plan = result
            elif batch is not None and not isinstance(result, Plan):
                self.state.given_up[batch_id] = f"its file was fit and no longer is: {result[0].message}"
            del self.plan_results[batch_id]
        self._started &= self.state.batches.keys()

    def _is_wanted(self, batch: PendingBatch) -> bool:
        if batch.plan is not None or stop_asked_at(batch, self.clock()) is not None:
            return False
        return batch.ledger is not None or input_fault(self.state, batch) is None

    async def _plan(self, batch: PendingBatch) -> None:
        place = f"plan:{batch.batch_id}"
        if self.quarantine.is_poison(place):
            self.quarantine.tell(place)
            self.state.given_up[batch.batch_id] = f"its file cannot be checked ({self.quarantine.reason(place)})"
        else:
            with self.quarantine.watch(place):
                await self._plan_at_last(batch)
        self.on_change()

    async def _plan_at_last(self, batch: PendingBatch) -> None:
        backoff, deaths = Backoff(RETRY_SECONDS, RETRY_SECONDS_MAX), 0
        while batch.batch_id in self.state.batches:
            try:
                self.plan_results[batch.batch_id] = await self._plan_result(batch)
                reached(Failpoint.FILE_CHECKED)
                break
            except PlanningTrouble as error:
                log.warning("planning_failed", batch_id=batch.batch_id, reason=str(error))
                deaths = deaths + 1 if isinstance(error, CheckerDied) else 0
                if deaths == DEATHS_MAX:
                    self.state.given_up[batch.batch_id] = f"each process that checked its file died ({deaths} of them)"
                    break
                await asyncio.sleep(backoff.seconds())
        if batch.batch_id not in self.state.batches:  # it ended while its file was read
            self._forget_plans_of_ended_batches()

    async def _plan_result(self, batch: PendingBatch) -> PlanResult:
        if batch.file is None:
            return (missing_input(batch),)
        try:
            return await self.planner.plan(batch.file.blob, batch.file.bytes, self._rules(batch))
        except InputMissing:
            return (missing_input(batch),)

    def _rules(self, batch: PendingBatch) -> FileRules:
        endpoint = batch.created.endpoint
        models = {model.id: model.endpoints for model in self.state.models.values()}
        models |= dict.fromkeys(batch.totals, (endpoint,))  # a valid file keeps its plan if a model was removed
        limits = self.limits
        trust = {model.id: model.trust for model in self.state.models.values()}
        return FileRules(
            endpoint,
            models,
            limits.lines_max,
            limits.line_bytes_max,
            was_found_fit=batch.model is not None,
            trust=trust,
            model=batch.created.model,
            may_mix_models=limits.may_mix_models or batch.is_mixed,
        )
