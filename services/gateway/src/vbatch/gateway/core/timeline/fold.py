"""The fold of a timeline: which runner had the batch when, and what happened to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.event_text import event_text
from vbatch.contracts.ids import RunnerId, SliceId
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus
from vbatch.gateway.core.timeline.objects import MarkObject, StateObject, TimelineObject
from vbatch.gateway.core.timeline.spans import Span, merged
from vbatch.gateway.core.timeline.state import State, state_view
from vbatch.gateway.core.timeline.steps import Chunk, RunnerTold, Step, name_of

SPANS_MAX = 500
MARKS_MAX = 500
STEPS_MAX = 1_000
"""The steps that a reader can choose; if there are more, only every n-th is named."""


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
            case e.BatchQualityDropped() | e.BatchErrorShareExceeded() as event:
                self._mark(step, "quality", event_text(event))
            case e.BatchFirstAnswered() as event:
                self._mark(step, "first_answer", event_text(event))
            case e.BatchArchived() as event:
                self._mark(step, "archived", event_text(event))
            case _ as event:
                self._fold_life(step, event)
        self._first = self._first or step.at
        self._last = step.at
        self.steps.append(step.sequence)

    def view(self, now: datetime) -> TimelineObject | None:
        """Return the timeline; None if nothing was folded."""
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
        after = before.moved_by(event)
        if isinstance(event, e.BatchCreated):
            self._begin(step, "validating", "the file is checked")
        if after.status is not before.status:
            self._moved(step, after.status)
        self._pause(step, before, after)
        self._keep(step, after, event_text(event))
        if not isinstance(event, e.BatchCreated):
            self._mark(step, name_of(event), event_text(event))

    def _moved(self, step: Step, status: BatchStatus) -> None:
        """End the span of the status before, and begin that of the next."""
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
            label = f"it waited for its first slice: {event.reason}" if event.reason else "it waited"
            self._waits[-1] = replace(self._waits[-1], label=label, end=step.at)
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
        self._keep(step, self.state.counting(counted), f"{counted.completed + counted.failed:,} answers were recorded")

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
            self._mark(step, name_of(event), f"{event.runner_id}: {event_text(event)}")

    def _loaded(self, step: Step, runner_id: RunnerId) -> None:
        for place, span in reversed(list(enumerate(self._loads))):
            if span.lane == runner_id and span.end is None:
                self._loads[place] = replace(span, end=step.at)
                return

    def _close(self, slice_id: SliceId, at: datetime) -> None:
        span = self._slices.get(slice_id)
        if span is not None:
            self._slices[slice_id] = replace(span, end=at)

    def _begin(self, step: Step, kind: str, label: str) -> None:
        self._waits.append(Span("batch", kind, label, step.at, None, step.sequence))

    def _end(self, step: Step) -> None:
        if self._waits and self._waits[-1].end is None:
            self._waits[-1] = replace(self._waits[-1], end=step.at)

    def _mark(self, step: Step, kind: str, sentence: str) -> None:
        self.marks.append(MarkObject(at=step.at.timestamp(), kind=kind, sentence=sentence, sequence=step.sequence))

    def _keep(self, step: Step, after: State, sentence: str) -> None:
        before, self.state = self.state, after
        if self.at is None or step.sequence <= self.at:
            self.kept = state_view(step, before, after, sentence)

    def _spans(self) -> Iterator[Span]:
        """Yield the spans; loads only of runners that ran the batch, in its time."""
        yield from self._waits
        yield from (span for span in self._loads if span.lane in self._runners)
        yield from merged(sorted(self._slices.values(), key=lambda span: (span.lane, span.start)))


def _thinned(steps: Sequence[int], most: int) -> list[int]:
    """Return about `most` steps, evenly spaced, with the last."""
    stride = -(-len(steps) // most)
    kept = list(steps[::stride]) if stride else []
    return kept if not kept or kept[-1] == steps[-1] else [*kept, steps[-1]]
