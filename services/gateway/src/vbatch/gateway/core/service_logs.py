"""The params of the services' logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vbatch.gateway.core.log_lines import parse_logs_query
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import bounded_string

LEVELS = ("debug", "info", "warning", "error")
SERVICES = ("gateway", "scheduler", "gpu-runner", "results", "notifier", "labeler", "console")
TEXT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class ServiceLogsParams:
    """The newest `limit` lines: of one service if it is named, of this level or a more severe one, with the one text
    and without the other."""

    limit: int
    service: str = ""
    level: str = "info"
    text: str = ""
    without: str = ""


def parse_service_logs_params(query: Mapping[str, str]) -> ServiceLogsParams:
    """Parse the query. Raises Refusal."""
    return ServiceLogsParams(
        limit=parse_logs_query(query),
        service=_one_of(query.get("service", ""), "service", ("", *SERVICES)),
        level=_one_of(query.get("level", "info"), "level", LEVELS),
        text=bounded_string(query.get("text", ""), "text", TEXT_CHARS_MAX),
        without=bounded_string(query.get("without", ""), "without", TEXT_CHARS_MAX),
    )


def _one_of(value: str, name: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        words = ", ".join(f"'{choice}'" for choice in choices if choice)
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{value}'. Supported values are: {words}.", name)
    return value
