"""One device that serves batches as a policy decides. Service is fluid and may be interrupted between requests at no
cost; a change of model costs its swap. The policy is the service's own code, with the service's own input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from benchmarks.policy_study.workload import REQUESTS_A_SECOND, Batch
from vbatch.contracts.ids import BatchId, ModelId, OwnerId
from vbatch.scheduler.core.policy.policy import Candidate, Policy, View
from vbatch.scheduler.core.state.cost_model import ModelCost

SLICE_SECONDS = 120.0
"""How long a choice lasts when nothing new arrives."""
BRIEF_SECONDS = 30.0
"""How long a choice lasts if it asks only for first answers."""
RATE_UNKNOWN = 4.0
"""Requests per second of a model without a known rate."""
FIRST_SERVICE_SHARE = 0.25
DONE = 1e-9
OWNER = OwnerId("study")

Estimate = Callable[[Batch], float]
"""The estimated work of a batch, as a multiple of the actual work."""
Ahead = Callable[["Device", Batch], ModelId | None]
"""Which model a device without work loads before the given batch, the next one, arrives."""


@dataclass(frozen=True, slots=True)
class Ended:
    batch: Batch
    first_served: float
    ended: float

    @property
    def flow(self) -> float:
        return self.ended - self.batch.arrived

    @property
    def is_late(self) -> bool:
        return self.ended > self.batch.due


@dataclass(frozen=True, slots=True)
class Stay:
    """One batch on the device from `start` to `end`."""

    batch: Batch
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Run:
    ended: Sequence[Ended]
    swaps: int
    stays: Sequence[Stay]
    starved_seconds: float = 0.0
    """The longest wait of a batch past a quarter of its window for first service while later ones were served."""

    @property
    def mean_flow(self) -> float:
        return fmean(served.flow for served in self.ended)

    @property
    def missed(self) -> float:
        """The share of batches that ended after their deadline."""
        return fmean(served.is_late for served in self.ended)

    @property
    def makespan(self) -> float:
        return max(served.ended for served in self.ended)


@dataclass(slots=True)
class _Pending:
    batch: Batch
    left: float
    first_served: float | None = None


@dataclass(slots=True)
class Device:
    """The device under a policy. `slice_seconds` may be infinite for a policy that never interrupts."""

    policy: Policy
    swap_seconds: float
    slice_seconds: float = SLICE_SECONDS
    estimate: Estimate = lambda _: 1.0
    error: float = 0.0
    ahead: Ahead = lambda device, _: device.loaded
    now: float = 0.0
    loaded: ModelId | None = None
    since: float = 0.0
    swaps: int = 0
    starved_seconds: float = 0.0
    _pending: dict[BatchId, _Pending] = field(default_factory=dict)
    _candidates: dict[BatchId, Candidate] = field(default_factory=dict)
    _ended: list[Ended] = field(default_factory=list)
    _stays: list[Stay] = field(default_factory=list)

    def run(self, batches: Sequence[Batch]) -> Run:
        coming = sorted(batches, key=lambda batch: -batch.arrived)
        while coming or self._pending:
            while coming and coming[-1].arrived <= self.now + DONE:
                self.arrive(coming.pop())
            if not self._pending:
                self._rest(coming[-1])
                continue
            self._act(until=coming[-1].arrived if coming else float("inf"))
        return Run(self._ended, self.swaps, self._stays, self.starved_seconds)

    @property
    def ended(self) -> Sequence[Ended]:
        return self._ended

    def _rest(self, following: Batch) -> None:
        """Rest until the next batch arrives, or until the model that was loaded meanwhile is ready."""
        model = self.ahead(self, following)
        if model is not None and model != self.loaded:
            self._swap(model)
        self.now = max(self.now, following.arrived)

    def arrive(self, batch: Batch) -> None:
        batch_id = BatchId(str(batch.number))
        self._pending[batch_id] = _Pending(batch, batch.work)
        self._tell(batch_id)

    def _tell(self, batch_id: BatchId) -> None:
        pending = self._pending[batch_id]
        rate = REQUESTS_A_SECOND.get(pending.batch.model, RATE_UNKNOWN)
        model_cost, finished = (
            ModelCost(1.0 / rate, self.estimate(pending.batch), self.error),
            int((pending.batch.work - pending.left) * rate),
        )
        self._candidates[batch_id] = Candidate(
            batch_id=batch_id,
            model=pending.batch.model,
            owner=OWNER,
            sequence=pending.batch.number,
            work=model_cost.seconds(pending.left * rate, 0.0, finished, float(finished)),
            error=model_cost.error(finished),
            arrived=pending.batch.arrived,
            due=pending.batch.due,
            has_run=pending.first_served is not None,
        )

    def _act(self, until: float) -> None:
        """Do one swap, or one slice of service."""
        choice = self.policy(self.view())
        if choice is None:
            raise RuntimeError("the policy left work waiting")
        pending = self._pending[choice.batch_id]
        if pending.batch.model != self.loaded:
            self._swap(pending.batch.model)
            return
        self._serve(choice.batch_id, pending, until, BRIEF_SECONDS if choice.is_brief else self.slice_seconds)

    def _swap(self, model: ModelId) -> None:
        self.loaded, self.now = model, self.now + self.swap_seconds
        self.since, self.swaps = self.now, self.swaps + 1

    def view(self) -> View:
        """The current input of the policy."""
        candidates = list(self._candidates.values())
        resident = self.now - self.since
        return View(self.now, candidates, self.loaded, resident, swap_default=self.swap_seconds)

    def _serve(self, batch_id: BatchId, pending: _Pending, until: float, slice_seconds: float) -> None:
        pending.first_served = self.now if pending.first_served is None else pending.first_served
        limit = slice_seconds if slice_seconds == float("inf") else min(slice_seconds, until - self.now)
        seconds = min(pending.left, max(limit, 1e-6))
        self._watch_starving(pending.batch, self.now + seconds)
        self._stays.append(Stay(pending.batch, self.now, self.now + seconds))
        self.now += seconds
        pending.left -= seconds
        if pending.left > DONE:
            self._tell(batch_id)
            return
        self._ended.append(Ended(pending.batch, pending.first_served, self.now))
        del self._pending[batch_id], self._candidates[batch_id]

    def _watch_starving(self, served: Batch, until: float) -> None:
        """Record how long past a quarter of its window an unserved batch waits for one that came later."""
        for pending in self._pending.values():
            if pending.first_served is None and pending.batch.arrived < served.arrived:
                late = until - pending.batch.arrived - FIRST_SERVICE_SHARE * (pending.batch.due - pending.batch.arrived)
                self.starved_seconds = max(self.starved_seconds, late)
