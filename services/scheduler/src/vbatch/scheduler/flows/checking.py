"""Checking a file before it becomes a batch: the same rules, the same worker, no event."""

from __future__ import annotations

from dataclasses import dataclass

from vbatch.contracts.file_check import FileChecked
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileRules
from vbatch.scheduler.core.state.state import State
from vbatch.scheduler.flows.planning import Limits
from vbatch.scheduler.ports import Planner


@dataclass(frozen=True, slots=True)
class Checking:
    """Reads the state and changes nothing."""

    state: State
    planner: Planner
    limits: Limits

    async def check(self, blob: str, file_bytes: int, endpoint: str) -> FileChecked:
        """Check a stored file. Raises InputMissing, PlanningTrouble."""
        models = {model.id: model.endpoints for model in self.state.models.values()}
        limits = self.limits
        rules = FileRules(
            endpoint, models, limits.lines_max, limits.line_bytes_max, may_mix_models=limits.may_mix_models
        )
        result = await self.planner.plan(blob, file_bytes, rules)
        if not isinstance(result, Plan):
            return FileChecked(requests=0, model=None, faults=tuple(result))
        return self._fit(result)

    def _fit(self, plan: Plan) -> FileChecked:
        costs, totals = self.state.costs, plan.totals()
        seconds = sum(
            costs.model_cost(total.model).seconds(total.requests, total.input_bytes / max(1, total.requests))
            for total in totals
        )
        return FileChecked(
            requests=len(plan),
            model=plan.model if len(totals) == 1 else None,
            work_seconds=seconds,
            is_guess=not all(costs.is_measured(total.model) for total in totals),
        )
