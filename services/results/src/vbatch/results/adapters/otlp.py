"""Sends derived spans to a trace server over OTLP/HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from vbatch.results.core.spans import Kind, Span

SERVICE = "vbatch"
"""The service name of a trace that is about all services, not one."""
EXPORT_SECONDS_MAX = 5
SPANS_AT_ONCE_MAX = 1_000
NANOSECONDS = 1_000_000_000
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
KINDS = {Kind.INTERNAL: SpanKind.INTERNAL, Kind.CONSUMER: SpanKind.CONSUMER, Kind.CLIENT: SpanKind.CLIENT}


class OtlpTraces:
    """`endpoint` is the base URL of the server, as VBATCH_OTLP_ENDPOINT names it."""

    def __init__(self, endpoint: str) -> None:
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS_MAX)
        self._resource = Resource.create({SERVICE_NAME: SERVICE})

    def send(self, spans: Sequence[Span]) -> bool:
        """Send the spans that have ended; return whether the server took all of them. Sending some twice does no harm.
        Blocks."""
        ended = [self._readable(span, span.end) for span in spans if span.end is not None]
        parts = [ended[start : start + SPANS_AT_ONCE_MAX] for start in range(0, len(ended), SPANS_AT_ONCE_MAX)]
        return all(self._exporter.export(part) is SpanExportResult.SUCCESS for part in parts)

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK gives it no types

    def _readable(self, span: Span, end: datetime) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=None if span.parent_id is None else _context(span.trace_id, span.parent_id),
            resource=self._resource,
            attributes=dict(span.attributes),
            links=() if span.link is None else (Link(_context(*span.link)),),
            kind=KINDS[span.kind],
            status=Status(StatusCode.ERROR if span.is_error else StatusCode.OK),
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(end),
        )


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=SAMPLED)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * (NANOSECONDS // 1_000_000)
