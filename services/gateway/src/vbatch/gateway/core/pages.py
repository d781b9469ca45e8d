"""Lists in pages: a client's params, and how a page says that there are more objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vbatch.contracts.lifecycle import BatchStatus
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text

BATCHES_DEFAULT, BATCHES_MAX = 20, 100
FILES_DEFAULT, FILES_MAX = 10_000, 10_000
RESULTS_DEFAULT, RESULTS_MAX = 1_000, 10_000
METADATA_FILTERS_MAX = 16
BYTES_MAX = 2**53 - 1
UNIX_SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True, slots=True)
class ListFilesParams:
    """At most `limit` objects after the one with the id `after`."""

    limit: int
    after: str | None = None
    is_ascending: bool = False
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class ListBatchesParams:
    """At most `limit` batches after `after`: in any of the statuses, with all of the metadata, created no earlier than
    `created_after` and before `created_before`. None and empty values filter nothing."""

    limit: int
    after: str | None = None
    statuses: tuple[BatchStatus, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class TailResultsParams:
    """Answers in the order recorded, from byte `after_byte` on; with `is_following` also the answers to come."""

    after_byte: int
    is_following: bool


@dataclass(frozen=True, slots=True)
class ListResultsParams:
    """Outcomes by input line: at most `limit` after `after_line`."""

    after_line: int
    limit: int


def parse_list_batches(query: Mapping[str, str]) -> ListBatchesParams:
    return ListBatchesParams(
        limit=_limit(query, BATCHES_DEFAULT, BATCHES_MAX),
        after=_after(query),
        statuses=_statuses(query),
        metadata=_metadata(query),
        created_after=_time(query, "created_after"),
        created_before=_time(query, "created_before"),
    )


def parse_list_files(query: Mapping[str, str]) -> ListFilesParams:
    limit = _limit(query, FILES_DEFAULT, FILES_MAX)
    return ListFilesParams(limit, _after(query), _is_ascending(query), _purpose(query))


def parse_endpoints_params(query: Mapping[str, str]) -> ListFilesParams:
    return ListFilesParams(_limit(query, BATCHES_DEFAULT, BATCHES_MAX), _after(query))


def parse_list_results(query: Mapping[str, str]) -> ListResultsParams | None:
    """Parse the query; None if the client wants everything, in the order recorded."""
    if "after_line" not in query and "limit" not in query:
        return None
    after_line = integer_of_text(query.get("after_line", "0"), "after_line")
    line_max = 2**31 - 1
    return ListResultsParams(
        integer_between(after_line, "after_line", 0, line_max), _limit(query, RESULTS_DEFAULT, RESULTS_MAX)
    )


def parse_tail_results(query: Mapping[str, str]) -> TailResultsParams | None:
    """Parse the query; None if the client wants neither to follow nor to continue after a byte."""
    if "follow" not in query and "after_byte" not in query:
        return None
    for name in ("after_line", "limit"):
        if name in query:
            message = f"'{name}' goes by input line and cannot be combined with 'follow' or 'after_byte'."
            raise Refusal(Reason.VALUE_INVALID, message, name)
    after_byte = integer_of_text(query.get("after_byte", "0"), "after_byte")
    return TailResultsParams(integer_between(after_byte, "after_byte", 0, BYTES_MAX), _flag(query, "follow"))


def asks_for_merged(query: Mapping[str, str]) -> bool:
    """Whether the client wants the answers of the batch and its retries as one list, which is not paged."""
    if not _flag(query, "merged"):
        return False
    for name in ("after_line", "limit", "after_byte", "follow"):
        if name in query:
            raise Refusal(Reason.VALUE_INVALID, f"'{name}' cannot be combined with 'merged'.", name)
    return True


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise Refusal(
            Reason.VALUE_INVALID, f"Invalid value: '{value}'. Supported values are: 'true', and 'false'.", name
        )
    return value == "true"


def _statuses(query: Mapping[str, str]) -> tuple[BatchStatus, ...]:
    """Parse one or several statuses, separated by commas."""
    try:
        return tuple(BatchStatus(name) for name in query["status"].split(",")) if "status" in query else ()
    except ValueError as error:
        quoted = [f"'{status}'" for status in BatchStatus]
        words = f"Supported values are: {', '.join(quoted[:-1])}, and {quoted[-1]}."
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{query['status']}'. {words}", "status") from error


def _metadata(query: Mapping[str, str]) -> dict[str, str]:
    """Parse `metadata[key]=value`, the form in which the official clients write a nested query."""
    wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[") and name.endswith("]")}
    if len(wanted) > METADATA_FILTERS_MAX:
        message = f"Invalid 'metadata': at most {METADATA_FILTERS_MAX} pairs can be asked for."
        raise Refusal(Reason.TOO_MANY_PROPERTIES, message, "metadata")
    return {key.replace("\0", ""): value.replace("\0", "") for key, value in wanted.items()}


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    seconds = integer_between(integer_of_text(query[name], name), name, 0, UNIX_SECONDS_MAX)
    return datetime.fromtimestamp(seconds, UTC)


def _limit(query: Mapping[str, str], default: int, most: int) -> int:
    if "limit" not in query:
        return default
    return integer_between(integer_of_text(query["limit"], "limit"), "limit", 1, most)


def _after(query: Mapping[str, str]) -> str | None:
    """Return an object's id; one with a NUL, which PostgreSQL cannot hold, is passed on as one that does not exist."""
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
