"""The trace of one batch, derived from what the log says about it: what it waited for, where it ran, how it ended.

The same events give the same spans with the same ids, so a trace that is sent twice remains one trace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from vbatch.contracts import events as e
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import BatchId, RunnerId, SliceId

SLICES_MAX = 2_000
"""The most slice spans in one trace. The slices beyond share one span, because otherwise no viewer would show the
trace."""
PREFIX = "vbatch."
SLICE, MORE_SLICES = "slice", "more slices"

Attribute = str | int | bool
Attributes = Mapping[str, Attribute]
SpanContext = tuple[int, int]
"""The ids of a trace and of a span in it."""


class Kind(StrEnum):
    """The kinds of spans that OpenTelemetry distinguishes."""

    INTERNAL = "internal"
    CONSUMER = "consumer"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Span:
    """`end` is None while the span continues. Ids are those of OpenTelemetry: 16 and 8 bytes, never zero."""

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    start: datetime
    end: datetime | None
    attributes: Attributes
    is_error: bool = False
    kind: Kind = Kind.INTERNAL
    link: SpanContext | None = None


@dataclass(frozen=True, slots=True)
class ChunkSeen:
    """What the headers of a chunk of answers show: which slice it belongs to, and when the log stored it."""

    slice_id: SliceId
    at: datetime


@dataclass(slots=True)
class RunSlice:
    """A slice that was dispatched, with the id of its span."""

    event: e.BatchDispatched
    span_id: int
    last_at: datetime | None = None
    chunk_count: int = 0
    returned: e.SliceReturned | None = None


@dataclass(slots=True)
class BatchTrace:
    """Folds the events of one batch, the events of the runners during its time, and its chunks, in the order of the
    log."""

    batch_id: BatchId
    caller: SpanContext | None = None
    """The span of the request that created the batch; None if the gateway traced nothing."""

    created: e.BatchCreated | None = None
    validated_at: datetime | None = None
    total: int = 0
    last_line: int = 0
    finalizing: e.BatchFinalizing | None = None
    end: e.BatchSealed | e.BatchRejected | None = None
    _slices: dict[SliceId, RunSlice] = field(default_factory=dict)
    _pauses: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    _loads: list[tuple[e.ModelLoading, e.ModelLoaded | e.ModelFailed | None]] = field(default_factory=list)
    _crashes: list[e.EngineCrashed] = field(default_factory=list)

    def fold(self, event: e.Event | ChunkSeen) -> None:
        """Fold one event; an event that says nothing about the batch's time is skipped."""
        match event:
            case e.ModelLoading() | e.ModelLoaded() | e.ModelFailed() | e.EngineCrashed():
                self._fold_runner(event)
            case e.BatchDispatched() | ChunkSeen() | e.SliceReturned():
                self._fold_slice(event)
            case e.BatchPaused():
                self._pauses.append((event.at, None))
            case e.BatchResumed():
                self._resume(event.at)
            case _:
                self._fold_life(event)

    def _fold_life(self, event: e.Event) -> None:
        match event:
            case e.BatchCreated():
                self.created = event
            case e.BatchValidated():
                self.validated_at, self.total, self.last_line = event.at, event.total, event.last_line
            case e.BatchFinalizing():
                self.finalizing = event
            case e.BatchSealed() | e.BatchRejected():
                self.end = event
            case _:
                pass

    def _fold_slice(self, event: e.BatchDispatched | ChunkSeen | e.SliceReturned) -> None:
        if isinstance(event, e.BatchDispatched):
            self._slices[event.slice_id] = RunSlice(event, self._slice_span_id(event.slice_id))
        elif found := self._slices.get(event.slice_id):
            found.last_at = event.at
            found.chunk_count += isinstance(event, ChunkSeen)
            found.returned = event if isinstance(event, e.SliceReturned) else found.returned

    def _fold_runner(self, event: e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.EngineCrashed) -> None:
        match event:
            case e.ModelLoading():
                self._loads.append((event, None))
            case e.EngineCrashed():
                self._crashes.append(event)
            case e.ModelLoaded() | e.ModelFailed():
                self._loaded(event)

    @property
    def trace_id(self) -> int:
        return trace_id_of(self.batch_id)

    @property
    def seed(self) -> int:
        """A seed that makes the samples of different batches differ."""
        return self.trace_id & 0xFFFF_FFFF

    def slice_named(self, slice_id: SliceId) -> RunSlice | None:
        return self._slices.get(slice_id)

    def _slice_span_id(self, slice_id: SliceId) -> int:
        is_alone = len(self._slices) < SLICES_MAX
        return self._span_id(SLICE, slice_id) if is_alone else self._span_id(MORE_SLICES)

    def spans(self) -> list[Span]:
        """The spans, the root first; empty for a batch whose creation was not seen."""
        if self.created is None:
            return []
        root = self._root(self.created)
        children = sorted(self._children(self.created), key=lambda span: (span.start, span.name))
        return [root, *(replace(child, parent_id=root.span_id) for child in children)]

    def _resume(self, at: datetime) -> None:
        if self._pauses and self._pauses[-1][1] is None:
            self._pauses[-1] = (self._pauses[-1][0], at)

    def _loaded(self, event: e.ModelLoaded | e.ModelFailed) -> None:
        for number, (loading, end) in enumerate(self._loads):
            if end is None and (loading.runner_id, loading.model) == (event.runner_id, event.model):
                self._loads[number] = (loading, event)

    def _root(self, created: e.BatchCreated) -> Span:
        attributes: dict[str, Attribute] = {
            "batch_id": self.batch_id,
            "owner": created.owner,
            "endpoint": created.endpoint,
            "completion_window": created.completion_window,
            "priority": created.priority,
        }
        if isinstance(self.end, e.BatchSealed):
            counts = self.end.counts
            attributes |= {"requests": counts.total, "succeeded": counts.completed, "failed": counts.failed}
        if self.end is not None:
            attributes["ending"] = type(self.end).__name__.removeprefix("Batch").lower()
        is_error = isinstance(self.end, e.BatchRejected | e.BatchExpired)
        end = self.end.at if self.end else None
        return replace(self._span("batch", created.at, end, attributes, is_error=is_error), link=self.caller)

    def _children(self, created: e.BatchCreated) -> Iterator[Span]:
        yield from self._until_first_dispatch(created)
        yield from self._pause_spans()
        yield from self._slice_spans()
        yield from self._runner_spans()
        if self.finalizing is not None:
            attributes = {"never_ran": self.finalizing.never_ran_count, "ending": self.finalizing.ending.value}
            yield self._span("seal", self.finalizing.at, self.end.at if self.end else None, attributes)

    def _until_first_dispatch(self, created: e.BatchCreated) -> Iterator[Span]:
        is_rejected = isinstance(self.end, e.BatchRejected)
        checked_at = self.end.at if self.end is not None and is_rejected else self.validated_at
        over_at = checked_at or (self.finalizing.at if self.finalizing else None)
        yield self._span("validate", created.at, over_at, {"requests": self.total}, is_error=is_rejected)
        if self.validated_at is None:
            return
        starts = [found.event.at for found in self._slices.values()]
        until = min(starts) if starts else (self.finalizing.at if self.finalizing else None)
        yield self._span("wait for a device", self.validated_at, until, {})

    def _pause_spans(self) -> Iterator[Span]:
        end = self.finalizing.at if self.finalizing else None
        for number, (paused_at, resumed_at) in enumerate(self._pauses):
            yield self._span("paused", paused_at, resumed_at or end, {}, key=str(number))

    def _slice_spans(self) -> Iterator[Span]:
        found = list(self._slices.values())
        yield from (self._slice_span(each) for each in found[:SLICES_MAX])
        if rest := found[SLICES_MAX:]:
            ends = [each.last_at for each in rest if each.last_at is not None]
            attributes = {"slices": len(rest), "requests": sum(len(each.event.lines) for each in rest)}
            yield self._span(MORE_SLICES, rest[0].event.at, max(ends, default=None), attributes)

    def _slice_span(self, found: RunSlice) -> Span:
        event, returned = found.event, found.returned
        attributes: dict[str, Attribute] = {
            "slice_id": event.slice_id,
            "runner": event.runner_id,
            "epoch": event.epoch,
            "model": event.model,
            "requests": len(event.lines),
            "attempt": event.attempt,
            "chunks": found.chunk_count,
            "why": event.reason,
        }
        if returned is not None:
            attributes |= {"returned": len(returned.lines), "returned_why": returned.reason.value}
        end = found.last_at or (self.finalizing.at if self.finalizing else None)
        is_error = returned is not None and returned.reason in FAULTS
        return self._span(SLICE, event.at, end, attributes, key=event.slice_id, is_error=is_error)

    def _runner_spans(self) -> Iterator[Span]:
        """The spans of the runners and models that this batch ran on."""
        places = {(each.event.runner_id, each.event.model) for each in self._slices.values()}
        runners: set[RunnerId] = {runner_id for runner_id, _ in places}
        for loading, end in self._loads:
            if (loading.runner_id, loading.model) in places:
                attributes = {"runner": loading.runner_id, "model": loading.model}
                key, is_error = f"{loading.runner_id}:{loading.at.isoformat()}", isinstance(end, e.ModelFailed)
                at = end.at if end else None
                yield self._span("load model", loading.at, at, attributes, key=key, is_error=is_error)
        for crash in self._crashes:
            if crash.runner_id in runners:
                attributes = {"runner": crash.runner_id, "model": crash.model}
                key = f"{crash.runner_id}:{crash.at.isoformat()}"
                yield self._span("engine crashed", crash.at, crash.at, attributes, key=key, is_error=True)

    def _span(
        self,
        name: str,
        start: datetime,
        end: datetime | None,
        attributes: Attributes,
        *,
        key: str = "",
        is_error: bool = False,
    ) -> Span:
        named = {PREFIX + name: value for name, value in attributes.items()} | {PREFIX + "batch_id": self.batch_id}
        # Clocks of several machines may differ: no span ends before it starts.
        not_before = max(start, end) if end is not None else None
        return Span(self.trace_id, self._span_id(name, key), None, name, start, not_before, named, is_error)

    def _span_id(self, name: str, key: str = "") -> int:
        return number_of(f"{self.batch_id}/{name}/{key}", 8)


FAULTS = frozenset(
    {ReturnReason.ENGINE_DIED, ReturnReason.MODEL_FAILED, ReturnReason.INPUT_UNREADABLE},
)


def trace_id_of(batch_id: BatchId) -> int:
    """The id under which the trace of a batch is found."""
    return number_of(batch_id, 16)


def chunk_seen(message_id: str, at: datetime) -> ChunkSeen | None:
    """Parse the message id of a `batch.chunk_completed` (contracts.catalogue): `<batch>:<name>:<slice>:<chunk>`."""
    parts = message_id.split(":")
    return ChunkSeen(SliceId(parts[2]), at) if len(parts) == 4 else None


def folded(batch_id: BatchId, events: Iterable[e.Event | ChunkSeen]) -> BatchTrace:
    trace = BatchTrace(batch_id)
    for event in events:
        trace.fold(event)
    return trace


def number_of(text: str, size: int) -> int:
    """An id of `size` bytes that follows from the text, never zero."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1
