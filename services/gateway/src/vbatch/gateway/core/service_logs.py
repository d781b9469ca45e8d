"""What may be asked of the logs of the services."""

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
    """The newest `limit` lines of a service if one is named, of this level or a more severe one, with this text and
    without that one."""

    limit: int
    service: str = ""
    level: str = "info"
    text: str = ""
    without: str = ""


def parse_service_logs_params(query: Mapping[str, str]) -> ServiceLogsParams:
    """Raises Refusal."""
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
