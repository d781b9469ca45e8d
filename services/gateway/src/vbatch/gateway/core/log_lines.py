"""Log lines as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from vbatch.gateway.core.shapes import integer_between, integer_of_text

LINES_DEFAULT = 100
LINES_MAX = 1_000

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One line that a service logged; `time` is ISO 8601 in UTC."""

    time: str
    service: str
    level: str
    event: str
    details: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class ServiceLines:
    """In the order of their times; `has_more`: there are older lines."""

    lines: Sequence[ServiceLine]
    has_more: bool


class LogLineObject(BaseModel):
    object: Literal["log.line"] = "log.line"
    time: str
    service: str
    level: str
    event: str
    details: dict[str, Scalar]


class LogsObject(BaseModel):
    """Oldest first; `has_more`: there are older lines beyond the requested number."""

    object: Literal["list"] = "list"
    data: list[LogLineObject]
    has_more: bool


def parse_logs_query(query: Mapping[str, str]) -> int:
    """Return how many lines are requested. Raises Refusal."""
    limit = integer_of_text(query.get("limit", str(LINES_DEFAULT)), "limit")
    return integer_between(limit, "limit", 1, LINES_MAX)


def logs_view(found: ServiceLines) -> LogsObject:
    return LogsObject(data=[_line(line) for line in found.lines], has_more=found.has_more)


def _line(line: ServiceLine) -> LogLineObject:
    return LogLineObject(
        time=line.time, service=line.service, level=line.level, event=line.event, details=dict(line.details)
    )
