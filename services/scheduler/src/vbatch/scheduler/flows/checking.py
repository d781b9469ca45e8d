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
    """Reads the state, changes nothing."""

    state: State
    planner: Planner
    limits: Limits

    async def check(self, blob: str, file_bytes: int, endpoint: str) -> FileChecked:
        """Raises InputMissing, PlanningTrouble."""
        models = {model.id: model.endpoints for model in self.state.models.values()}
        rules = FileRules(endpoint, models, self.limits.lines_max, self.limits.line_bytes_max)
        result = await self.planner.plan(blob, file_bytes, rules)
        if not isinstance(result, Plan):
            return FileChecked(requests=0, model=None, faults=tuple(result))
        return self._fit(result)

    def _fit(self, plan: Plan) -> FileChecked:
        requests, costs = len(plan), self.state.costs
        seconds = costs.model_cost(plan.model).seconds(requests, plan.input_bytes / max(1, requests))
        is_guess = not costs.is_measured(plan.model)
        return FileChecked(requests=requests, model=plan.model, work_seconds=seconds, is_guess=is_guess)
