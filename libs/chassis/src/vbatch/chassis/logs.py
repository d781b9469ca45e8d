"""Logs as events: one JSON line each on stderr, with ids, the service and the current span.

A terminal gets a readable form instead. Local variables never appear in tracebacks: they may hold prompts.
"""

import logging
import sys
from contextlib import AbstractContextManager
from typing import TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from vbatch.contracts.bounds import cut

VALUE_BYTES_MAX = 16 * 1024
"""The bound on one value of a log line, in UTF-8; a value that is cut says so."""
FOREIGN_LOGGERS = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
    "aiohttp.access",
    "aiohttp.server",
    "nats",
    "py.warnings",
)


def configure(service: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send everything that this process logs, our code and libraries alike, to `stream` (stderr)."""
    stream = stream or sys.stderr
    shared = _shared_processors(service)
    root = logging.getLogger()
    root.handlers = [_handler(stream, shared)]
    root.setLevel(level.upper())
    _take_over_foreign_loggers()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _handler(stream: TextIO, shared: list[Processor]) -> logging.Handler:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(stream.isatty())],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    return handler


def get_logger(name: str = "vbatch") -> structlog.stdlib.BoundLogger:
    """A logger whose methods take an event name in the past tense and keys."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**ids: object) -> AbstractContextManager[None]:
    """Within the block, in this task and those it starts, every event carries `ids`."""
    return structlog.contextvars.bound_contextvars(**ids)


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
    """Bound every value of a line to a screen or two: reasons quote what engines and clients wrote."""
    for key, value in event.items():
        if isinstance(value, str) and 4 * len(value) > VALUE_BYTES_MAX:
            event[key] = cut(value, VALUE_BYTES_MAX)
    return event


def _renderers(is_terminal: bool) -> list[Processor]:
    if is_terminal:
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, _bound, structlog.processors.JSONRenderer()]


def _take_over_foreign_loggers() -> None:
    for name in FOREIGN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.captureWarnings(True)
