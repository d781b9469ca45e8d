"""Which requests of an ended batch run again, and the params by which a client selects them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from vbatch.contracts.ids import made_file_id
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.contracts.lines import parse_request_line
from vbatch.gateway.core.batches.create_batch import asked_window
from vbatch.gateway.core.batches.steering import priority_of
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import Reason, Refusal, type_invalid
from vbatch.gateway.core.shapes import bounded_string, json_object, string

CUSTOM_IDS_MAX = 50_000
CUSTOM_ID_CHARS_MAX = 1_024
MISSING_SHOWN_MAX = 3
OPTIONAL = ("select", "custom_ids", "completion_window", "priority")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Unanswered(StrEnum):
    """Why a request has no successful answer: it failed, or its batch ended before it ran."""

    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


RETRYABLE = frozenset({BatchStatus.COMPLETED, BatchStatus.EXPIRED, BatchStatus.CANCELLED})
"""The statuses of a batch whose requests can run again: it has ended, and its file was valid."""
NEVER_RAN = {BatchStatus.EXPIRED: Unanswered.EXPIRED, BatchStatus.CANCELLED: Unanswered.CANCELLED}


@dataclass(frozen=True, slots=True)
class RetryParams:
    """What a client asks for: requests by their outcome or, if `custom_ids` is set, only the requests with these ids.
    If the completion window or the priority is None, that of the batch is kept."""

    select: frozenset[Unanswered]
    custom_ids: frozenset[str] | None = None
    completion_window: str | None = None
    priority: int | None = None

    @property
    def selection(self) -> str:
        """A short text that is the same for the same requests."""
        if self.custom_ids is None:
            return ",".join(sorted(self.select))
        return hashlib.sha256("\0".join(sorted(self.custom_ids)).encode()).hexdigest()


def parse_retry(raw: bytes) -> RetryParams:
    """Parse a request body; an empty one selects every request without a successful answer. Raises Refusal."""
    body = json_object(raw or b"{}", required=(), optional=OPTIONAL)
    if body.get("select") is not None and body.get("custom_ids") is not None:
        raise Refusal(Reason.VALUE_INVALID, "Give 'select' or 'custom_ids', not both.", "custom_ids")
    return RetryParams(
        select=_select(body.get("select")),
        custom_ids=_custom_ids(body.get("custom_ids")),
        completion_window=asked_window(body["completion_window"]) if body.get("completion_window") else None,
        priority=priority_of(body["priority"]) if body.get("priority") is not None else None,
    )


def check_retryable(batch: BatchRecord) -> None:
    """Raises Refusal for a batch that has not ended, or whose file was not valid."""
    if batch.status not in RETRYABLE:
        words = "it never ran" if batch.is_over else "it has not ended"
        message = f"Cannot retry a batch with status '{batch.status}': {words}."
        raise Refusal(Reason.BATCH_NOT_RETRYABLE, message)


def is_retry_by(batch: BatchRecord, retried: BatchRecord, params: RetryParams) -> bool:
    """Whether this request made the batch as a retry of the other one."""
    return (
        batch.retry_of == retried.id
        and batch.input_file_id == made_file_id(batch.id, retry_content(retried, params))
        and batch.completion_window == (params.completion_window or retried.completion_window)
        and batch.asked_priority == priority_of_retry(retried, params)
    )


def retry_content(retried: BatchRecord, params: RetryParams) -> str:
    """Return the text that identifies the content of a retry's input file."""
    return f"{retried.id}:{params.selection}"


def priority_of_retry(retried: BatchRecord, params: RetryParams) -> int:
    return retried.priority if params.priority is None else params.priority


class Outcomes:
    """The outcome of each line of a batch, one byte a line."""

    def __init__(self, status: BatchStatus) -> None:
        self._never_ran = NEVER_RAN.get(status, Unanswered.FAILED)
        self._seen = bytearray()

    def note(self, line: int, *, is_success: bool) -> None:
        if line >= len(self._seen):
            self._seen.extend(bytes(max(line + 1 - len(self._seen), len(self._seen))))
        self._seen[line] = 1 if is_success else 2

    def of(self, line: int) -> Unanswered | None:
        """Return why the line has no successful answer; None if it has one."""
        seen = self._seen[line] if line < len(self._seen) else 0
        if seen == 1:
            return None
        return Unanswered.FAILED if seen == 2 else self._never_ran


class SelectedLines:
    """The request lines of an input file that are to run again, unchanged; lines end at `\\n` only."""

    def __init__(self, is_wanted: Callable[[int, bytes], bool]) -> None:
        self._is_wanted = is_wanted
        self._line = 0
        self._rest = b""
        self.count = 0

    def feed(self, block: bytes) -> bytes:
        """Return the selected lines that end in this block."""
        *whole, self._rest = (self._rest + block).split(b"\n")
        return self._selected(whole)

    def end(self) -> bytes:
        """Return the last line, if it is selected and has no line end."""
        rest, self._rest = self._rest, b""
        return self._selected([rest])

    def _selected(self, raws: Iterable[bytes]) -> bytes:
        selected = []
        for raw in raws:
            self._line += 1
            text = (raw.removeprefix(BYTE_ORDER_MARK) if self._line == 1 else raw).strip()
            if text and self._is_wanted(self._line, text):
                self.count += 1
                selected.append(text + b"\n")
        return b"".join(selected)


class Selection:
    """The rule of one retry. `missing` holds the custom_ids that no line has had so far."""

    def __init__(self, params: RetryParams, outcomes: Outcomes) -> None:
        self._params = params
        self._outcomes = outcomes
        self.missing = set(params.custom_ids or ())

    def has(self, line: int, raw: bytes) -> bool:
        if self._params.custom_ids is None:
            return self._outcomes.of(line) in self._params.select
        custom_id = parse_request_line(raw).custom_id
        self.missing.discard(custom_id)
        return custom_id in self._params.custom_ids

    def check(self, count: int) -> None:
        """Raises Refusal when a custom_id is unknown, or no line is selected."""
        if self.missing:
            shown = ", ".join(f"'{custom_id}'" for custom_id in sorted(self.missing)[:MISSING_SHOWN_MAX])
            words = f"{len(self.missing)} of them are in no request of this batch: {shown}"
            raise Refusal(Reason.VALUE_INVALID, f"Invalid 'custom_ids': {words}.", "custom_ids")
        if not count:
            kinds = " or ".join(sorted(self._params.select))
            raise Refusal(Reason.VALUE_INVALID, f"No request of this batch is {kinds}: nothing to retry.", "select")


def _select(value: object) -> frozenset[Unanswered]:
    if value is None:
        return frozenset(Unanswered)
    if not isinstance(value, list):
        raise type_invalid("select", "an array", value)
    names = [string(name, f"select[{place}]") for place, name in enumerate(value[: len(Unanswered) + 1])]
    if unknown := [name for name in names if name not in list(Unanswered)]:
        words = "Supported values are: 'failed', 'expired', and 'cancelled'."
        raise Refusal(Reason.VALUE_INVALID, f"Invalid value: '{unknown[0]}'. {words}", "select")
    if not 1 <= len(value) <= len(Unanswered):
        message = f"Invalid 'select': expected 1 to {len(Unanswered)} values, but got {len(value)}."
        raise Refusal(Reason.VALUE_INVALID, message, "select")
    return frozenset(Unanswered(name) for name in names)


def _custom_ids(value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise type_invalid("custom_ids", "an array", value)
    if not 1 <= len(value) <= CUSTOM_IDS_MAX:
        message = f"Invalid 'custom_ids': expected 1 to {CUSTOM_IDS_MAX} values, but got {len(value)}."
        raise Refusal(Reason.VALUE_INVALID, message, "custom_ids")
    return frozenset(
        bounded_string(string(name, f"custom_ids[{place}]"), f"custom_ids[{place}]", CUSTOM_ID_CHARS_MAX)
        for place, name in enumerate(value)
    )
