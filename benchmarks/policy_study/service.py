"""The scheduler's own state, decisions and forecasts in virtual time: events are folded as the service folds them, and
only the runners' devices are simulated. The requests of a batch differ, and their cost is unknown before they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.decide import DecisionInput, decide
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.policy.policy import Policy
from vbatch.scheduler.core.state.cost_model import units
from vbatch.scheduler.core.state.state import State, evolve

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CHUNK_REQUESTS = 16
REQUEST_BYTES, REQUEST_TOKENS = 400, 100


@dataclass(frozen=True, slots=True)
class Load:
    """A batch with the actual output tokens of each of its requests. Times are in seconds."""

    batch_id: BatchId
    model: ModelId
    arrived: float
    due: float
    output_tokens: Sequence[int]


@dataclass(frozen=True, slots=True)
class Engine:
    """What a device does with one model."""

    units_a_second: float
    load_seconds: float

    def seconds(self, output_tokens: Sequence[int]) -> float:
        return sum(units(1, usage(token)) for token in output_tokens) / self.units_a_second


@dataclass(slots=True)
class _Runner:
    runner_id: RunnerId
    model: ModelId | None = None
    held: deque[tuple[e.BatchDispatched, deque[int]]] = field(default_factory=deque)
    is_busy: bool = False


Answered = Callable[["Service", BatchId, float], None]
"""Called for every batch that got answers, with the time."""


@dataclass
class Service:
    """`window` is the concurrency of each engine; slices follow from it."""

    policy: Policy
    engines: dict[ModelId, Engine]
    concurrency: int = 32
    runners: int = 1
    on_answers: Answered = lambda _service, _batch_id, _now: None
    state: State = field(default_factory=State)
    now: float = 0.0
    ended: dict[BatchId, float] = field(default_factory=dict)
    order: list[BatchId] = field(default_factory=list)
    """The batches in the order in which they were first dispatched."""
    loads: list[tuple[RunnerId, ModelId]] = field(default_factory=list)
    """Which runner loaded which model, in order of time."""
    _loads: dict[BatchId, Load] = field(default_factory=dict)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _runners: dict[RunnerId, _Runner] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def run(self, loads: Sequence[Load]) -> None:
        for number in range(self.runners):
            runner_id = RunnerId(f"gpu{number}")
            self._runners[runner_id] = _Runner(runner_id)
            self._fold(e.RunnerLeased(runner_id=runner_id, device="gpu", memory_bytes=1, pid=1, at=self.at()))
        for load in loads:
            self._later(load.arrived, partial(self._arrive, load))
        while self._agenda:
            self.now, _, act = heappop(self._agenda)
            act()
            self._settle()

    def at(self, seconds: float | None = None) -> datetime:
        return EPOCH + timedelta(seconds=self.now if seconds is None else seconds)

    def _later(self, when: float, act: Callable[[], None]) -> None:
        heappush(self._agenda, (when, next(self._numbers), act))

    def _fold(self, event: e.AnyEvent) -> None:
        evolve(self.state, event, self.state.sequence + 1)

    def _arrive(self, load: Load) -> None:
        self._loads[load.batch_id] = load
        total = len(load.output_tokens)
        self._fold(
            e.BatchCreated(
                batch_id=load.batch_id, owner=OwnerId("study"), input_file_id=FileId("file-study"),
                endpoint="/v1/chat/completions", completion_window="24h", expires_at=self.at(load.due), at=self.at(),
            )
        )  # fmt: skip
        models = (e.ModelTotal(model=load.model, requests=total, input_bytes=REQUEST_BYTES * total),)
        self._fold(e.BatchValidated(batch_id=load.batch_id, total=total, last_line=total, models=models, at=self.at()))
        plan = Plan(load.model)
        for line in range(1, total + 1):
            plan.add(RequestRef(line, REQUEST_BYTES * line, REQUEST_BYTES))
        self.state.batches[load.batch_id].plan = plan

    def _settle(self) -> None:
        while events := self._decide():
            for event in events:
                self._fold(event)
                if isinstance(event, e.BatchDispatched):
                    self._take(event)
                elif isinstance(event, e.BatchFinalizing):
                    self.ended[event.batch_id] = self.now

    def _decide(self) -> list[e.AnyEvent]:
        return decide(self.state, DecisionInput(self.at(), {}, self.policy, self._slice_id))

    def _slice_id(self) -> SliceId:
        return SliceId(f"s-{next(self._numbers)}")

    def _take(self, event: e.BatchDispatched) -> None:
        if event.batch_id not in self.order:
            self.order.append(event.batch_id)
        runner = self._runners[event.runner_id]
        runner.held.append((event, deque(event.lines)))
        if not runner.is_busy:
            self._go_on(runner)

    def _go_on(self, runner: _Runner) -> None:
        """Run the next chunk, after a load if it is for another model."""
        runner.is_busy = bool(runner.held)
        if not runner.held:
            return
        event, lines = runner.held[0]
        if event.model != runner.model:
            runner.model = event.model
            self.loads.append((runner.runner_id, event.model))
            seconds = self.engines[event.model].load_seconds
            self._later(self.now + seconds, lambda: self._loaded(runner, event.model, seconds))
            return
        chunk = tuple(lines.popleft() for _ in range(min(CHUNK_REQUESTS, len(lines))))
        tokens = self._loads[event.batch_id].output_tokens
        seconds = self.engines[event.model].seconds([tokens[line - 1] for line in chunk])
        self._later(self.now + seconds, lambda: self._answer(runner, event, chunk))

    def _loaded(self, runner: _Runner, model: ModelId, seconds: float) -> None:
        self._fold(
            e.ModelLoaded(
                runner_id=runner.runner_id, epoch=1, model=model, seconds=seconds, window=self.concurrency, at=self.at()
            )
        )
        self._go_on(runner)

    def _answer(self, runner: _Runner, event: e.BatchDispatched, chunk: tuple[int, ...]) -> None:
        if not runner.held[0][1]:
            runner.held.popleft()
        tokens = self._loads[event.batch_id].output_tokens
        outcomes = tuple(e.OutcomeOutline(line, 200, usage(tokens[line - 1])) for line in chunk)
        self._fold(
            e.ChunkOutline(
                batch_id=event.batch_id, slice_id=event.slice_id, runner_id=event.runner_id, epoch=event.epoch,
                chunk=1, model=event.model, outcomes=outcomes, at=self.at(),
            )
        )  # fmt: skip
        self._settle()
        self.on_answers(self, event.batch_id, self.now)
        self._go_on(runner)


def usage(output_tokens: int) -> e.Usage:
    return e.Usage(input_tokens=REQUEST_TOKENS, output_tokens=output_tokens)
