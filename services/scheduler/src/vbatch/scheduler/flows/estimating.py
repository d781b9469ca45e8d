"""What a dry run needs to know about a file and its work. It records no event."""

from __future__ import annotations

from dataclasses import dataclass

from vbatch.contracts.dry_run import SAMPLE_MAX, FileSample, RunEstimate
from vbatch.scheduler.core.forecast.estimate import Work, estimate
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileRules
from vbatch.scheduler.core.policy.policy import Policy
from vbatch.scheduler.core.sampling import sampled_lines, tried_lines
from vbatch.scheduler.core.state.state import State
from vbatch.scheduler.flows.planning import Limits
from vbatch.scheduler.ports import Clock, Planner


@dataclass(frozen=True, slots=True)
class Estimating:
    """Reads the state and changes nothing."""

    state: State
    policy: Policy
    planner: Planner
    limits: Limits
    clock: Clock

    async def sample(self, blob: str, file_bytes: int, endpoint: str, lines: int) -> FileSample:
        """Check the file and choose lines of it. Raises InputMissing, PlanningTrouble."""
        models = {model.id: model.endpoints for model in self.state.models.values()}
        trust = {model.id: model.trust for model in self.state.models.values()}
        rules = FileRules(endpoint, models, self.limits.lines_max, self.limits.line_bytes_max, trust=trust)
        result = await self.planner.plan(blob, file_bytes, rules)
        if not isinstance(result, Plan):
            return FileSample(requests=0, model=None, faults=tuple(result))
        return FileSample(
            requests=len(result),
            model=result.model,
            input_bytes=result.input_bytes,
            tried=tried_lines(result, lines),
            sampled=sampled_lines(result, SAMPLE_MAX),
        )

    def estimate(self, work: Work) -> RunEstimate:
        return estimate(self.state, self.policy, work, self.clock())
