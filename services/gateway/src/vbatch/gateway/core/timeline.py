"""The whole life of a batch as its log tells it: who had it when, what happened to it, and how it stood at any event.

Pure: folds the events of a batch, those of the runners in its time, and its chunks, in the order of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from pydantic import BaseModel

from vbatch.contracts import events as e
from vbatch.contracts.event_text import event_text
from vbatch.contracts.ids import RunnerId, SliceId
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus, Steering, next_status, steered
from vbatch.gateway.core.answer_lines import ChunkRecord

MERGED_SECONDS = 2.0
"""Slices of one runner with no longer gap between them are one span."""
SPANS_MAX = 500
MARKS_MAX = 500
STEPS_MAX = 1_000
"""Steps that a reader can go to; of more, every n-th is named."""

RUNNER_EVENTS = (e.ModelLoading, e.ModelLoaded, e.ModelFailed, e.EngineCrashed, e.ProfileLowered, e.RunnerLost)
RunnerTold = e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.EngineCrashed | e.ProfileLowered | e.RunnerLost


@dataclass(frozen=True, slots=True)
class Chunk:
    """Answers that were recorded together, of which `counted` counted; None while the read model has not got there."""

    slice_id: SliceId
    counted: ChunkRecord | None


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the log, as the fold takes it."""

    sequence: int
    at: datetime
    event: e.BatchEvent | RunnerTold | Chunk


class SpanObject(BaseModel):
    """Something that lasted. `lane` is `batch` or the id of a runner; `ends_at` is null while it lasts; `sequence` is
    the event it began with. Times are Unix seconds."""

    lane: str
    kind: str
    label: str
    starts_at: float
    ends_at: float | None
    sequence: int


class MarkObject(BaseModel):
    """Something that happened at one moment, with a sentence."""

    at: float
    kind: str
    sentence: str
    sequence: int


class StateObject(BaseModel):
    """How the batch stood after an event. `changed` names the fields that this event changed."""

    sequence: int
    at: float
    event: str
    sentence: str
    status: str
    is_paused: bool
    priority: int
    total: int
    completed: int
    failed: int
    output_tokens: int
    slices_out: int
    slices_returned: int
    changed: list[str]


class TimelineObject(BaseModel):
    """`steps` are sequences whose state can be asked for with `at`; of a long log a part of them, always the first and
    the last. `state` is the one asked for, else the newest."""

    object: str = "batch.timeline"
    starts_at: float
    ends_at: float
    is_over: bool
    spans: list[SpanObject]
    marks: list[MarkObject]
    steps: list[int]
    state: StateObject


@dataclass(frozen=True, slots=True)
class State:
    """What counting and the rules of `contracts.lifecycle` make of the events so far."""

    status: BatchStatus = BatchStatus.VALIDATING
    steering: Steering = Steering()  # noqa: RUF009  # frozen
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_tokens: int = 0
    slices_out: frozenset[SliceId] = frozenset()
    slices_returned: int = 0


@dataclass(slots=True)
class Span:
    lane: str
    kind: str
    label: str
    start: datetime
    end: datetime | None
    sequence: int

    @property
    def seen(self) -> SpanObject:
        end = self.end.timestamp() if self.end is not None else None
        return SpanObject(
            lane=self.lane,
            kind=self.kind,
            label=self.label,
            starts_at=self.start.timestamp(),
            ends_at=end,
            sequence=self.sequence,
        )


@dataclass
class Timeline:
    """The fold; `at` is the sequence whose state is kept, None for the newest."""

    at: int | None = None
    state: State = field(default_factory=State)
    kept: StateObject | None = None
    steps: list[int] = field(default_factory=list)
    marks: list[MarkObject] = field(default_factory=list)
    _first: datetime | None = None
    _last: datetime | None = None
    _waits: list[Span] = field(default_factory=list)
    _slices: dict[SliceId, Span] = field(default_factory=dict)
    _loads: list[Span] = field(default_factory=list)
    _runners: set[RunnerId] = field(default_factory=set)

    def fold(self, step: Step) -> None:
        match step.event:
            case Chunk() as chunk:
                self._fold_chunk(step, chunk)
            case (
                e.ModelLoading()
                | e.ModelLoaded()
                | e.ModelFailed()
                | e.EngineCrashed()
                | e.ProfileLowered()
                | e.RunnerLost()
            ) as told:
                self._fold_runner(step, told)
                return
            case e.BatchDispatched() | e.SliceReturned() | e.ChunkCompleted() | e.ChunkOutline() as event:
                self._fold_slice(step, event)
            case e.BatchQualityDropped() as event:
                self._mark(step, "quality", event_text(event))
            case e.BatchArchived() as event:
                self._mark(step, "archived", event_text(event))
            case _ as event:
                self._fold_life(step, event)
        self._first = self._first or step.at
        self._last = step.at
        self.steps.append(step.sequence)

    def view(self, now: datetime) -> TimelineObject | None:
        """None where nothing was folded."""
        if self._first is None or self._last is None or self.kept is None:
            return None
        is_over = self.state.status in TERMINAL
        return TimelineObject(
            starts_at=self._first.timestamp(),
            ends_at=(self._last if is_over else now).timestamp(),
            is_over=is_over,
            spans=[span.seen for span in self._spans()][:SPANS_MAX],
            marks=self.marks[:MARKS_MAX],
            steps=_thinned(self.steps, STEPS_MAX),
            state=self.kept,
        )

    def _fold_life(self, step: Step, event: e.StatusEvent | e.SteeringEvent) -> None:
        before = self.state
        status = next_status(before.status, event)
        after = replace(before, status=status, steering=steered(before.steering, status, event))
        if isinstance(event, e.BatchCreated):
            after = replace(after, steering=replace(after.steering, priority=event.priority))
            self._begin(step, "validating", "the file is checked")
        if isinstance(event, e.BatchValidated):
            after = replace(after, total=event.total)
        if status is not before.status:
            self._moved(step, status)
        self._pause(step, before, after)
        self._keep(step, after, event_text(event))
        if not isinstance(event, e.BatchCreated):
            self._mark(step, _name(event), event_text(event))

    def _moved(self, step: Step, status: BatchStatus) -> None:
        """The span of the status before ends, and the one of the next begins."""
        self._end(step)
        if status is BatchStatus.IN_PROGRESS:
            self._begin(step, "waiting", "it waits for its first slice")
        elif status is BatchStatus.FINALIZING:
            self._begin(step, "sealing", "the output files are written")
        elif status is BatchStatus.CANCELLING:
            self._begin(step, "cancelling", "what is inside the engine ends")

    def _pause(self, step: Step, before: State, after: State) -> None:
        was, is_now = before.steering.paused_at is not None, after.steering.paused_at is not None
        if is_now and not was:
            self._end(step)
            self._begin(step, "paused", "nothing of it starts")
        if was and not is_now:
            self._end(step)

    def _fold_slice(
        self, step: Step, event: e.BatchDispatched | e.SliceReturned | e.ChunkCompleted | e.ChunkOutline
    ) -> None:
        match event:
            case e.BatchDispatched():
                self._dispatched(step, event)
            case e.SliceReturned():
                self._returned(step, event)
            case e.ChunkCompleted() | e.ChunkOutline():
                pass  # chunks come as Chunk: their answers are not read
            case _:
                assert_never(event)

    def _dispatched(self, step: Step, event: e.BatchDispatched) -> None:
        if self._waits and self._waits[-1].end is None and self._waits[-1].kind == "waiting":
            self._waits[-1].label = f"it waited for its first slice: {event.reason}" if event.reason else "it waited"
            self._end(step)
        self._runners.add(event.runner_id)
        self._slices[event.slice_id] = Span(event.runner_id, "running", f"{event.model}", step.at, None, step.sequence)
        after = replace(self.state, slices_out=self.state.slices_out | {event.slice_id})
        self._keep(step, after, event_text(event))
        if event.attempt > 1:
            self._mark(step, "retried", event_text(event))

    def _returned(self, step: Step, event: e.SliceReturned) -> None:
        self._close(event.slice_id, step.at)
        out = self.state.slices_out - {event.slice_id}
        after = replace(self.state, slices_out=out, slices_returned=self.state.slices_returned + 1)
        self._keep(step, after, event_text(event))
        self._mark(step, "returned", event_text(event))

    def _fold_chunk(self, step: Step, chunk: Chunk) -> None:
        self._close(chunk.slice_id, step.at)
        counted = chunk.counted
        if counted is None:
            self._keep(step, self.state, "answers were recorded")
            return
        after = replace(
            self.state,
            completed=self.state.completed + counted.completed,
            failed=self.state.failed + counted.failed,
            output_tokens=self.state.output_tokens + counted.output_tokens,
        )
        self._keep(step, after, f"{counted.completed + counted.failed:,} answers were recorded")

    def _fold_runner(self, step: Step, event: RunnerTold) -> None:
        match event:
            case e.ModelLoading():
                self._loads.append(Span(event.runner_id, "loading", event.model, step.at, None, step.sequence))
            case e.ModelLoaded() | e.ModelFailed():
                self._loaded(step, event.runner_id)
            case e.EngineCrashed() | e.ProfileLowered() | e.RunnerLost():
                pass
            case _:
                assert_never(event)
        if event.runner_id in self._runners and not isinstance(event, e.ModelLoading | e.ModelLoaded):
            self._mark(step, _name(event), f"{event.runner_id}: {event_text(event)}")

    def _loaded(self, step: Step, runner_id: RunnerId) -> None:
        for span in reversed(self._loads):
            if span.lane == runner_id and span.end is None:
                span.end = step.at
                return

    def _close(self, slice_id: SliceId, at: datetime) -> None:
        span = self._slices.get(slice_id)
        if span is not None:
            span.end = at

    def _begin(self, step: Step, kind: str, label: str) -> None:
        self._waits.append(Span("batch", kind, label, step.at, None, step.sequence))

    def _end(self, step: Step) -> None:
        if self._waits and self._waits[-1].end is None:
            self._waits[-1].end = step.at

    def _mark(self, step: Step, kind: str, sentence: str) -> None:
        self.marks.append(MarkObject(at=step.at.timestamp(), kind=kind, sentence=sentence, sequence=step.sequence))

    def _keep(self, step: Step, after: State, sentence: str) -> None:
        before, self.state = self.state, after
        if self.at is None or step.sequence <= self.at:
            self.kept = _state_view(step, before, after, sentence)

    def _spans(self) -> Iterator[Span]:
        """Of loads only those of runners that ran the batch, in its time."""
        yield from self._waits
        yield from (span for span in self._loads if span.lane in self._runners)
        yield from _merged(sorted(self._slices.values(), key=lambda span: (span.lane, span.start)))


def _merged(spans: Sequence[Span]) -> Iterator[Span]:
    """Spans of one lane that follow each other closely, or overlap, as one."""
    current: Span | None = None
    for span in spans:
        if current is not None and _is_close(current, span):
            current.end = None if span.end is None else max(current.end or span.end, span.end)
            continue
        if current is not None:
            yield current
        current = replace(span)
    if current is not None:
        yield current


def _is_close(before: Span, after: Span) -> bool:
    if (before.lane, before.label) != (after.lane, after.label):
        return False
    return before.end is None or after.start - before.end <= timedelta(seconds=MERGED_SECONDS)


def _state_view(step: Step, before: State, after: State, sentence: str) -> StateObject:
    shown, past = _fields(after), _fields(before)
    return StateObject(
        sequence=step.sequence,
        at=step.at.timestamp(),
        event=_name(step.event),
        sentence=sentence,
        status=after.status.value,
        is_paused=after.steering.paused_at is not None,
        priority=after.steering.priority,
        total=after.total,
        completed=after.completed,
        failed=after.failed,
        output_tokens=after.output_tokens,
        slices_out=len(after.slices_out),
        slices_returned=after.slices_returned,
        changed=[name for name, value in shown.items() if past[name] != value],
    )


def _fields(state: State) -> dict[str, object]:
    return {
        "status": state.status,
        "is_paused": state.steering.paused_at is not None,
        "priority": state.steering.priority,
        "total": state.total,
        "completed": state.completed,
        "failed": state.failed,
        "output_tokens": state.output_tokens,
        "slices_out": len(state.slices_out),
        "slices_returned": state.slices_returned,
    }


NAMES: dict[type[object], str] = {
    e.BatchCreated: "created",
    e.BatchValidated: "validated",
    e.BatchRejected: "rejected",
    e.BatchCancelRequested: "cancel requested",
    e.BatchPaused: "paused",
    e.BatchResumed: "resumed",
    e.BatchPriorityChanged: "priority changed",
    e.BatchFinalizing: "finalizing",
    e.BatchCompleted: "completed",
    e.BatchCancelled: "cancelled",
    e.BatchExpired: "expired",
    e.BatchDispatched: "dispatched",
    e.SliceReturned: "slice returned",
    e.ModelLoading: "model loading",
    e.ModelLoaded: "model loaded",
    e.ModelFailed: "model failed",
    e.EngineCrashed: "engine crashed",
    e.ProfileLowered: "profile lowered",
    e.RunnerLost: "runner lost",
    Chunk: "answers recorded",
}


def _name(event: object) -> str:
    return NAMES[type(event)]


def _thinned(steps: Sequence[int], most: int) -> list[int]:
    """At most so many, evenly, with the last."""
    stride = -(-len(steps) // most)
    kept = list(steps[::stride]) if stride else []
    return kept if not kept or kept[-1] == steps[-1] else [*kept, steps[-1]]
