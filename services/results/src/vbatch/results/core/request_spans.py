"""The traces of single requests, derived from the chunks of a batch: those that failed, the slowest ones and a sample.

Each request is a trace of its own, linked to the slice that ran it: a batch of a million requests would be a trace that
no viewer shows. The log knows when a chunk was recorded and how long each request was inside the engine, so a request
ends here with its chunk, at most half a second after its answer. No text of a prompt or an answer is in a span.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.results.core import semantic_conventions as names
from vbatch.results.core.spans import PREFIX, Attribute, BatchTrace, Kind, RunSlice, Span, number_of

FAILED_MAX = 1_000
"""How many failed requests of a batch are kept, the first ones: if more fail, they usually fail in the same way."""
SLOWEST_MAX = 100
SAMPLED_MAX = 10_000
"""A larger sample of a batch is thinned out to this size."""
KNUTH = 2_654_435_761
"""The multiplier of multiplicative hashing (TAOCP 3, 6.4): consecutive lines spread evenly over 32 bits."""
BITS = 32


@dataclass(frozen=True, slots=True)
class _Kept:
    outcome: e.OutcomeOutline
    ran: RunSlice
    model: ModelId
    at: datetime


@dataclass(slots=True)
class RequestTraces:
    """Fold the chunks of the batch up to the end of counting, in the order of the log. `trace` must be complete.

    `share` is the part of all requests that is sampled, from 0 to 1. The same lines are chosen each time.
    """

    trace: BatchTrace
    share: float
    _answered: bytearray = field(init=False)
    """One byte for each line: 1 once it has an outcome."""
    _sampled_below: float = field(init=False)
    """A line is sampled if its hash is below this number."""
    _failed: dict[int, _Kept] = field(default_factory=dict)
    _sampled: dict[int, _Kept] = field(default_factory=dict)
    _slowest: list[tuple[float, int]] = field(default_factory=list)
    """A heap of seconds and lines, the fastest of them first."""
    _slow: dict[int, _Kept] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._answered = bytearray(self.trace.last_line + 1)
        self._sampled_below = min(self.share, SAMPLED_MAX / max(self.trace.total, 1)) * (1 << BITS)

    def fold(self, chunk: e.ChunkOutline, at: datetime) -> None:
        """The first outcome of a line counts. A chunk of a slice that the trace does not know changes nothing."""
        ran = self.trace.slice_named(chunk.slice_id)
        if ran is None:
            return
        for outcome in chunk.outcomes:
            if outcome.line < len(self._answered) and not self._answered[outcome.line]:
                self._answered[outcome.line] = 1
                self._weigh(outcome, ran, chunk.model, at)

    def spans(self) -> list[Span]:
        """Two spans for each kept request, in the order of lines: its wait, and the call of the engine."""
        kept = {**self._slow, **self._sampled, **self._failed}
        return [span for line in sorted(kept) for span in self._spans_of(kept[line], self._why(line))]

    def _weigh(self, outcome: e.OutcomeOutline, ran: RunSlice, model: ModelId, at: datetime) -> None:
        """Keep the outcome if it failed, is sampled or is among the slowest. Most are not, so this checks before it
        creates anything."""
        line = outcome.line
        if not outcome.is_success and len(self._failed) < FAILED_MAX:
            self._failed[line] = _Kept(outcome, ran, model, at)
        if self._is_sampled(line):
            self._sampled[line] = _Kept(outcome, ran, model, at)
        if len(self._slowest) < SLOWEST_MAX:
            heapq.heappush(self._slowest, (outcome.seconds, line))
        elif outcome.seconds > self._slowest[0][0]:
            _, faster = heapq.heapreplace(self._slowest, (outcome.seconds, line))
            del self._slow[faster]
        else:
            return
        self._slow[line] = _Kept(outcome, ran, model, at)

    def _is_sampled(self, line: int) -> bool:
        return (line * KNUTH + self.trace.seed) % (1 << BITS) < self._sampled_below

    def _why(self, line: int) -> str:
        if line in self._failed:
            return "failed"
        return "slow" if line in self._slow else "sampled"

    def _spans_of(self, kept: _Kept, why: str) -> Iterator[Span]:
        key = f"{self.trace.batch_id}/{kept.outcome.line}"
        trace_id, root_id = number_of(key, 16), number_of(f"{key}/request", 8)
        is_error = not kept.outcome.is_success
        begin = min(kept.ran.event.at, kept.at)
        yield Span(
            trace_id,
            root_id,
            None,
            "request",
            begin,
            kept.at,
            self._told(kept, why),
            is_error,
            Kind.CONSUMER,
            link=(self.trace.trace_id, kept.ran.span_id),
        )
        called = max(begin, kept.at - timedelta(seconds=max(0.0, kept.outcome.seconds)))
        attributes = self._call(kept)
        name = f"{attributes[names.OPERATION]} {kept.model}"
        span_id = number_of(f"{key}/engine", 8)
        yield Span(trace_id, span_id, root_id, name, called, kept.at, attributes, is_error, Kind.CLIENT)

    def _told(self, kept: _Kept, why: str) -> dict[str, Attribute]:
        ran = kept.ran.event
        told: dict[str, Attribute] = {
            "batch_id": self.trace.batch_id,
            "line": kept.outcome.line,
            "slice_id": ran.slice_id,
            "runner": ran.runner_id,
            "attempt": ran.attempt,
            "kept_because": why,
        }
        return {PREFIX + name: value for name, value in told.items()}

    def _call(self, kept: _Kept) -> dict[str, Attribute]:
        outcome, usage = kept.outcome, kept.outcome.usage
        endpoint = self.trace.created.endpoint if self.trace.created else ""
        attributes: dict[str, Attribute] = {
            names.OPERATION: names.operation_of(endpoint),
            names.MODEL: kept.model,
            names.INPUT_TOKENS: usage.input_tokens,
            names.OUTPUT_TOKENS: usage.output_tokens,
            names.CACHED_TOKENS: usage.cached_tokens,
        }
        if outcome.status_code is not None:
            attributes[names.STATUS_CODE] = outcome.status_code
        if outcome.error is not None:
            attributes[names.ERROR_TYPE] = outcome.error.code.value
        elif not outcome.is_success:
            attributes[names.ERROR_TYPE] = str(outcome.status_code)
        return attributes
