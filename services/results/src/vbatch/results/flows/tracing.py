"""Derives the trace of a batch from the log, and sends the trace of each batch that ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from opentelemetry.trace import get_current_span

from vbatch.chassis.logs import get_logger
from vbatch.chassis.telemetry import extract
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import KINDS
from vbatch.contracts.codec import Unreadable, decode_outline
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import chunks_of
from vbatch.journal.port import Log, Unavailable
from vbatch.results.core.request_spans import RequestTraces
from vbatch.results.core.spans import BatchTrace, Span, SpanContext, chunk_seen

CHUNK = "chunk_completed"
RUNNER_EVENTS = ("evt.runner.*.model_loading", "evt.runner.*.model_loaded", "evt.runner.*.model_failed")
RUNNER_TROUBLE = "evt.runner.*.engine_crashed"
ENDS = tuple(f"evt.batch.*.{end}" for end in ("completed", "cancelled", "expired", "rejected"))
RESULTS_LEASE = "evt.results.*.lease"
SENT_AGAIN_EVENTS_MAX = 10_000
"""How far back in the log a new process looks for batches whose traces may not have been sent."""
TRIES_MAX = 5
PAUSE_SECONDS = 2.0

Export = Callable[[Sequence[Span]], bool]
"""Sends spans and returns whether they were taken. Blocks."""


async def trace_of(log: Log, batch_id: BatchId) -> BatchTrace:
    """The trace of a batch, as far as the log has it. Only the headers of its chunks are read, so a large batch costs
    little."""
    trace = BatchTrace(batch_id)
    created = await log.last(f"evt.batch.{batch_id}.created")
    newest = await log.last(f"evt.batch.{batch_id}.>")
    if created is None or newest is None:
        return trace
    trace.caller = _caller_of(created)
    records = [record async for record in _until(log, batch_id, created.sequence - 1, newest.sequence)]
    for record in sorted(records, key=lambda each: each.sequence):
        _fold(trace, record)
    return trace


def _caller_of(created: Recorded) -> SpanContext | None:
    context = get_current_span(extract(created.headers)).get_span_context()
    return (context.trace_id, context.span_id) if context.is_valid else None


async def request_traces_of(log: Log, trace: BatchTrace, share: float) -> RequestTraces:
    """The traces of a batch's requests. The log must still have the batch's chunks: all of them are read, one after
    another."""
    requests = RequestTraces(trace, share)
    chunks = chunks_of(trace.batch_id)
    created = await log.last(f"evt.batch.{trace.batch_id}.created")
    end = await log.last(f"evt.batch.{trace.batch_id}.finalizing") or await log.last(chunks)
    if created is None or end is None:
        return requests
    async for record in _read(log, (chunks,), created.sequence, end.sequence, headers_only=False):
        event = _decoded(record)
        if isinstance(event, e.ChunkOutline):
            requests.fold(event, record.recorded_at)
        await asyncio.sleep(0)  # a large batch must not hold up the other tasks of this process
    return requests


@dataclass
class Tracing:
    """Sends traces, if they are wanted. A trace that no server takes is given up after some tries: it can be sent again
    at any time, under the same ids."""

    log: Log
    export: Export
    after: int
    requests_share: float = 0.0

    async def run(self) -> None:
        """Run until cancelled, from the first batch that ends after sequence `after`."""
        while True:
            try:
                await self._follow()
            except Unavailable as error:
                get_logger().warning("tracing_interrupted", reason=str(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _follow(self) -> None:
        async with self.log.tail(self.after, ENDS, headers_only=True) as arrivals:
            async for records in arrivals:
                for record in records:
                    await self._send(BatchId(record.subject.split(".")[2]))
                    self.after = record.sequence

    async def _send(self, batch_id: BatchId) -> None:
        trace = await trace_of(self.log, batch_id)
        spans = trace.spans()
        if self.requests_share > 0:
            spans += (await request_traces_of(self.log, trace, self.requests_share)).spans()
        for number in range(TRIES_MAX):
            await asyncio.sleep(PAUSE_SECONDS * number)
            if await asyncio.to_thread(self.export, spans):
                return
        get_logger().warning("trace_not_taken", batch_id=batch_id, spans=len(spans), tries=TRIES_MAX)


async def unsent_since(log: Log) -> int:
    """The sequence at which a new process begins, asked before it takes its lease: traces of batches that ended under
    the previous process may not have been sent."""
    lease = await log.last(RESULTS_LEASE)
    head = await log.last_sequence()
    return max(lease.sequence if lease else head, head - SENT_AGAIN_EVENTS_MAX)


async def _until(log: Log, batch_id: BatchId, after: int, end: int) -> AsyncIterator[Recorded]:
    """The log's records of a batch and of runners, from the batch's creation to its newest event."""
    names = (kind.name.split(".") for kind in KINDS if kind.name.startswith("batch."))
    told = tuple(f"evt.batch.{batch_id}.{name}" for _, name in names if name != CHUNK)
    async for record in _read(log, (*told, *RUNNER_EVENTS, RUNNER_TROUBLE), after, end, headers_only=False):
        yield record
    async for record in _read(log, (f"evt.batch.{batch_id}.{CHUNK}",), after, end, headers_only=True):
        yield record


async def _read(
    log: Log, subjects: Sequence[str], after: int, end: int, *, headers_only: bool
) -> AsyncIterator[Recorded]:
    newest = [record.sequence for subject in subjects if (record := await log.last(subject)) is not None]
    last = min(end, max(newest, default=0))
    if last <= after:
        return
    async with log.tail(after, subjects, headers_only=headers_only) as lists:
        async for records in lists:
            for record in records:
                if record.sequence <= end:
                    yield record
                if record.sequence >= last:
                    return


def _fold(trace: BatchTrace, record: Recorded) -> None:
    if record.subject.endswith(CHUNK):
        if (chunk := chunk_seen(record.message_id, record.recorded_at)) is not None:
            trace.fold(chunk)
        return
    if (event := _decoded(record)) is not None:
        trace.fold(event)


def _decoded(record: Recorded) -> e.AnyEvent | None:
    """The decoded event, a chunk without its answers; None if it cannot be read."""
    try:
        return decode_outline(record)
    except Unreadable as error:
        get_logger().warning("event_passed_over", sequence=record.sequence, reason=str(error))
        return None
