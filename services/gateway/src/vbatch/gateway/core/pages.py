"""Lists in pages: what a client may ask for, and how a page tells that there is more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text

BATCHES_DEFAULT, BATCHES_MAX = 20, 100
FILES_DEFAULT, FILES_MAX = 10_000, 10_000
RESULTS_DEFAULT, RESULTS_MAX = 1_000, 10_000


@dataclass(frozen=True, slots=True)
class PageAsk:
    """At most `limit` objects behind the one called `after`."""

    limit: int
    after: str | None = None
    is_ascending: bool = False
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class ResultsAsk:
    """Outcomes by input line: at most `limit` behind `after_line`."""

    after_line: int
    limit: int


def read_batches_ask(query: Mapping[str, str]) -> PageAsk:
    return PageAsk(_limit(query, BATCHES_DEFAULT, BATCHES_MAX), _after(query))


def read_files_ask(query: Mapping[str, str]) -> PageAsk:
    limit = _limit(query, FILES_DEFAULT, FILES_MAX)
    return PageAsk(limit, _after(query), _is_ascending(query), _purpose(query))


def read_results_ask(query: Mapping[str, str]) -> ResultsAsk | None:
    """None when the client wants everything, in the order recorded."""
    if "after_line" not in query and "limit" not in query:
        return None
    after_line = integer_of_text(query.get("after_line", "0"), "after_line")
    line_max = 2**31 - 1
    return ResultsAsk(
        integer_between(after_line, "after_line", 0, line_max), _limit(query, RESULTS_DEFAULT, RESULTS_MAX)
    )


def _limit(query: Mapping[str, str], default: int, most: int) -> int:
    if "limit" not in query:
        return default
    return integer_between(integer_of_text(query["limit"], "limit"), "limit", 1, most)


def _after(query: Mapping[str, str]) -> str | None:
    """An object's id; one that could be none is passed on as such, PostgreSQL knows no NUL."""
    after = query.get("after")
    return after.replace("\0", "") if after is not None else None


def _purpose(query: Mapping[str, str]) -> str | None:
    purpose = query.get("purpose")
    return purpose.replace("\0", "") if purpose is not None else None


def _is_ascending(query: Mapping[str, str]) -> bool:
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        message = f"Invalid value: '{order}'. Supported values are: 'asc', and 'desc'."
        raise Refusal(Reason.VALUE_INVALID, message, "order")
    return order == "asc"
