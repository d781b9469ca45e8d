"""Logs as events: one line of JSON for each on stderr, with ids, the service and the current span.

A terminal gets a readable form instead. Local variables never appear in tracebacks: they may hold prompts.
"""

import asyncio
import logging
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from typing import TextIO

import msgspec
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from vbatch.contracts.bounds import cut

VALUE_BYTES_MAX = 16 * 1024
"""The bound on one value of a log line, in UTF-8. A value that is cut says so."""
WRITE_SECONDS = 0.05
"""How long a frequent line may wait for others, so that one write serves all of them. Whoever reads the lines at the
other end of a pipe (supervisord, a container runtime) wakes up as often as we write."""
PENDING_LINES_MAX = 1_000
FOREIGN_LOGGERS = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "aiohttp.access",
    "aiohttp.server",
    "nats",
    "py.warnings",
)


def configure(
    service: str, level: str = "info", stream: TextIO | None = None, *, also_to: Processor | None = None
) -> None:
    """Send everything that this process logs, from our code and from libraries, to `stream` (stderr).

    If the stream is not a terminal, each event is a line of JSON, and `also_to` receives each event first.
    """
    stream = stream or sys.stderr
    shared = _shared_processors(service)
    root = logging.getLogger()
    root.handlers = [_handler(stream, service, shared, also_to)]
    root.setLevel(level.upper())
    _take_over_foreign_loggers()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _handler(stream: TextIO, service: str, shared: list[Processor], also_to: Processor | None) -> logging.Handler:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(stream.isatty(), also_to)],
    )
    handler = logging.StreamHandler(stream) if stream.isatty() else _JsonHandler(stream, service, also_to)
    handler.setFormatter(formatter)
    return handler


def get_logger(name: str = "vbatch") -> structlog.stdlib.BoundLogger:
    """Return a logger whose methods take an event name in the past tense, and keys."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def log_frequent(event: str, **values: object) -> None:
    """Log an event that occurs for each of thousands of requests: the same line as `get_logger().info(event,
    **values)`, at a fraction of its cost. The values bound by `bind` are not added."""
    handler = _json_handler()
    if handler is None:
        get_logger().info(event, **values)
    elif logging.getLogger("vbatch").isEnabledFor(logging.INFO):
        handler.add(event, values)


def bind(**ids: object) -> AbstractContextManager[None]:
    """Within the block, add `ids` to every event of this task and of the tasks that it starts."""
    return structlog.contextvars.bound_contextvars(**ids)


def bind_task(**ids: object) -> None:
    """Until this task ends, add `ids` to every event of it and of the tasks that it starts; cheaper than `bind`."""
    structlog.contextvars.bind_contextvars(**ids)


class _JsonHandler(logging.StreamHandler[TextIO]):
    """Writes JSON lines. Frequent lines bypass logging records; those of WRITE_SECONDS are written together, in order,
    and before any other line."""

    def __init__(self, stream: TextIO, service: str, also_to: Processor | None) -> None:
        super().__init__(stream)
        self._also_to = also_to
        self._fixed = {"level": "info", "logger": "vbatch", "service": service}
        self._pending: list[str] = []

    def add(self, event: str, values: EventDict) -> None:
        time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line: EventDict = {**values, "event": event, **self._fixed, "time": time}
        line = _bound(None, "info", _add_span(None, "info", line))
        if self._also_to is not None:
            self._also_to(None, "info", line)
        self._pending.append(msgspec.json.encode(line, enc_hook=repr).decode() + self.terminator)
        if len(self._pending) >= PENDING_LINES_MAX:
            self._write_pending()
        elif len(self._pending) == 1:
            self._write_soon()

    def emit(self, record: logging.LogRecord) -> None:
        self._write_pending()
        super().emit(record)

    def flush(self) -> None:
        """The lines that still wait are written, too: the process may end now."""
        self._write_pending()
        super().flush()

    def _write_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_later(WRITE_SECONDS, self._write_pending)
        except RuntimeError:  # no event loop runs in this thread
            self._write_pending()

    def _write_pending(self) -> None:
        """Write the pending lines. Lines that cannot be written are lost without any other effect, as with ordinary
        logging."""
        with self.lock or nullcontext(), suppress(OSError, ValueError):
            if self._pending:
                text = "".join(self._pending)
                self._pending.clear()
                self.stream.write(text)
                super().flush()


def _json_handler() -> _JsonHandler | None:
    handlers = logging.getLogger().handlers
    first = handlers[0] if handlers else None
    return first if isinstance(first, _JsonHandler) else None


def _naming(service: str) -> Processor:
    def add_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return add_service


def _shared_processors(service: str) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _naming(service),
        _add_span,
        structlog.processors.StackInfoRenderer(),
    ]


def _add_span(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def _bound(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut every value of a line to a screen or two: reasons quote what engines and clients wrote."""
    for key, value in event.items():
        if isinstance(value, str) and 4 * len(value) > VALUE_BYTES_MAX:
            event[key] = cut(value, VALUE_BYTES_MAX)
    return event


def _renderers(is_terminal: bool, also_to: Processor | None) -> list[Processor]:
    if is_terminal:
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    more = [] if also_to is None else [also_to]
    return [structlog.processors.format_exc_info, _bound, *more, structlog.processors.JSONRenderer()]


def _take_over_foreign_loggers() -> None:
    for name in FOREIGN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.captureWarnings(True)
