"""What one decision and one fold cost in a fleet whose devices are full, measured with the scheduler's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median
from time import process_time

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.decide import OUTSTANDING_SLICES_MAX, SLICE_REQUESTS_MAX, DecisionInput, decide
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.state.state import State, evolve

MODELS, OWNERS = 20, 50
CONCURRENCY = 256
"""The concurrency of each engine, chosen so that slices have their maximum size."""
REQUESTS = 4 * SLICE_REQUESTS_MAX
"""The requests of each batch: a measurement never uses up a batch."""
REPEATS = 8
START = datetime(2026, 1, 1, tzinfo=UTC)
USAGE = e.Usage(input_tokens=100, output_tokens=200)


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU milliseconds, each the median: a decision that dispatches a slice, one that finds nothing to do, and the fold
    of one chunk."""

    dispatch_ms: float
    idle_ms: float
    chunk_ms: float


class Fleet:
    """A folded state: runners that are full of slices, and many batches that wait."""

    def __init__(self, runners: int, batches: int) -> None:
        self.state = State()
        self._numbers: Iterator[int] = count()
        for number in range(runners):
            self._start(RunnerId(f"gpu{number}"), ModelId(f"m{number % MODELS}"))
        for number in range(batches):
            self._wait(number)
        for number, runner_id in enumerate(list(self.state.runners) * OUTSTANDING_SLICES_MAX):
            self._send(runner_id, number)

    def decide(self) -> list[e.AnyEvent]:
        return decide(self.state, DecisionInput(START + timedelta(hours=2), {}, DensityPolicy(), self._slice_id))

    def fold(self, *events: e.AnyEvent) -> None:
        for event in events:
            evolve(self.state, event, self.state.sequence + 1)

    def chunk(self, requests: int) -> e.ChunkOutline:
        """The next chunk of the runner that was served longest ago: the first requests of its oldest slice."""
        slice_ = next(iter(self.state.slices.values()))
        sent = slice_.event
        outcomes = tuple(e.OutcomeOutline(line, 200, USAGE) for line in list(slice_.lines)[:requests])
        return e.ChunkOutline(
            batch_id=sent.batch_id, slice_id=sent.slice_id, runner_id=sent.runner_id, epoch=sent.epoch, chunk=1,
            model=sent.model, outcomes=outcomes, at=START + timedelta(hours=2),
        )  # fmt: skip

    def _start(self, runner_id: RunnerId, model: ModelId) -> None:
        self.fold(e.RunnerLeased(runner_id=runner_id, device="gpu", memory_bytes=1, pid=1, at=START))
        epoch = self.state.sequence
        self.fold(
            e.ModelLoaded(runner_id=runner_id, epoch=epoch, model=model, seconds=30.0, window=CONCURRENCY, at=START)
        )
        self.state.runners[runner_id].turn_to(model, START)

    def _wait(self, number: int) -> None:
        batch_id, model = BatchId(f"batch_{number}"), ModelId(f"m{number % MODELS}")
        self.fold(
            e.BatchCreated(
                batch_id=batch_id, owner=OwnerId(f"owner-{number % OWNERS}"), input_file_id=FileId("file-x"),
                endpoint="/v1/chat/completions", completion_window="24h", expires_at=START + timedelta(hours=24),
                at=START + timedelta(seconds=number % 3600),
            )
        )  # fmt: skip
        total = e.ModelTotal(model=model, requests=REQUESTS, input_bytes=400 * REQUESTS)
        self.fold(e.BatchValidated(batch_id=batch_id, total=REQUESTS, last_line=REQUESTS, models=(total,), at=START))
        plan = Plan(model)
        for line in range(1, REQUESTS + 1):
            plan.add(RequestRef(line, 400 * line, 399))
        self.state.batches[batch_id].plan = plan

    def _send(self, runner_id: RunnerId, number: int) -> None:
        """Send a full slice of a batch of the runner's model, taking the batches in turn."""
        runner = self.state.runners[runner_id]
        of_model = [each for each in self.state.batches.values() if each.model == runner.model]
        batch = of_model[number // MODELS % len(of_model)]
        first = REQUESTS - batch.waiting_count + 1
        self.fold(
            e.BatchDispatched(
                batch_id=batch.batch_id, slice_id=self._slice_id(), runner_id=runner_id, epoch=runner.epoch,
                model=runner.model or ModelId(""), lines=tuple(range(first, first + SLICE_REQUESTS_MAX)), attempt=1,
                reason="", at=START,
            )
        )  # fmt: skip

    def _slice_id(self) -> SliceId:
        return SliceId(f"s-{next(self._numbers)}")


def costs(runners: int, batches: int, requests_a_chunk: int) -> Costs:
    """Run chunks through the fleet until slices end and new ones are dispatched."""
    fleet = Fleet(runners, batches)
    dispatched, idle, folded = list[float](), list[float](), list[float]()
    while len(dispatched) < REPEATS:
        chunk = fleet.chunk(requests_a_chunk)
        folded.append(_milliseconds(lambda chunk=chunk: fleet.fold(chunk)))  # type: ignore[misc]  # bound at once
        events, taken = _timed(fleet.decide)
        (dispatched if events else idle).append(taken)
        fleet.fold(*events)
    return Costs(median(dispatched), median(idle) if idle else 0.0, median(folded))


def _milliseconds(act: Callable[[], None]) -> float:
    began = process_time()
    act()
    return 1000 * (process_time() - began)


def _timed(decide_now: Callable[[], list[e.AnyEvent]]) -> tuple[list[e.AnyEvent], float]:
    began = process_time()
    events = decide_now()
    return events, 1000 * (process_time() - began)
