"""Sends log events to a log server, such as Loki or a collector, as OTLP over HTTP, in addition to what the process
writes.

The ids of a line become attributes, so that you can search for a batch, a slice or a trace. Sending never waits: events
that an unavailable server does not take are dropped, and the written lines still have them.
"""

from __future__ import annotations

import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.trace import TraceFlags
from structlog.typing import EventDict, WrappedLogger

QUEUED_LINES_MAX = 16_384
LINES_AT_ONCE_MAX = 1_024
SEND_DELAY_MS = 1_000
SEND_SECONDS_MAX = 5
OWN_LOGGERS = "opentelemetry"
"""The exporter's own errors are written but not sent, because sending them would cause more errors."""
SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
TOLD_ELSEWHERE = frozenset({"event", "level", "time", "service", "trace_id", "span_id"})
"""Keys of an event that have a field of their own in OTLP."""


class OtlpLogs:
    """A structlog processor that passes each event on unchanged. `endpoint` is the base URL of the server."""

    def __init__(self, service: str, endpoint: str) -> None:
        # The SDK's own resource has a random process id, which Loki would index; so the resource is made here.
        self._provider = LoggerProvider(Resource({SERVICE_NAME: service}), shutdown_on_exit=False)
        exporter = OTLPLogExporter(endpoint=f"{endpoint.rstrip('/')}/v1/logs", timeout=SEND_SECONDS_MAX)
        self._provider.add_log_record_processor(
            BatchLogRecordProcessor(
                exporter,
                schedule_delay_millis=SEND_DELAY_MS,
                max_export_batch_size=LINES_AT_ONCE_MAX,
                max_queue_size=QUEUED_LINES_MAX,
            )
        )
        self._logger = self._provider.get_logger("vbatch")

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if not str(event.get("logger", "")).startswith(OWN_LOGGERS):
            self._logger.emit(record_of(event, time.time_ns()))
        return event

    def close(self) -> None:
        """Send the waiting events, for SEND_SECONDS_MAX at most."""
        self._provider.shutdown()


def record_of(event: EventDict, at_nanoseconds: int) -> LogRecord:
    """Return the OTLP record. The name of the event is the body; every other key is an attribute, as text where OTLP
    has no such type."""
    level = str(event.get("level", "info"))
    trace_id, span_id = (int(event.get(key) or "0", 16) for key in ("trace_id", "span_id"))
    return LogRecord(
        timestamp=at_nanoseconds,
        trace_id=trace_id or None,
        span_id=span_id or None,
        trace_flags=TraceFlags(TraceFlags.SAMPLED) if trace_id else None,
        severity_text=level.upper(),
        severity_number=SEVERITIES.get(level, SeverityNumber.INFO),
        body=str(event.get("event", "")),
        attributes={key: _attribute(value) for key, value in event.items() if key not in TOLD_ELSEWHERE},
    )


def _attribute(value: object) -> str | bool | int | float:
    return value if isinstance(value, str | bool | int | float) else str(value)
