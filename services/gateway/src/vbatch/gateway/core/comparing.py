"""Two to six batches over the same inputs, side by side: which lines they share, and how their answers differ.

A line is shared where its number and its `custom_id` are the same, so the input files may be copies that name another
model. Answers agree where their texts are equal, character by character.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec
from pydantic import BaseModel

from vbatch.contracts.previews import answer_text
from vbatch.gateway.core.answer_lines import LINE_MAX, LineRecord
from vbatch.gateway.core.line_table import text_cell
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import integer_between, integer_of_text

BATCHES_MIN, BATCHES_MAX = 2, 6
LINES_TOGETHER_MAX = 3_000_000
"""The most requests of all batches together: more could not be compared within the time limit of one query."""
COMPARED_DEFAULT, COMPARED_MAX = 20, 100
TEXT_CHARS_MAX = 4_000
BATCHES_CHARS_MAX = 500
Z_95 = 1.959964
"""The normal quantile of a two-sided interval of 95 %."""


class Only(StrEnum):
    """Which of the shared lines to return."""

    ALL = "all"
    DIFFERENT = "different"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CompareParams:
    batch_ids: tuple[str, ...]
    only: Only = Only.ALL
    after_line: int = 0
    limit: int = COMPARED_DEFAULT


@dataclass(frozen=True, slots=True)
class AnswerStatistics:
    """The statistics of one batch; times and lengths are of successful answers. None if there is no such answer."""

    sequence: int
    answered: int
    succeeded: int
    cut: int
    json: int
    seconds_p50: float | None
    seconds_p95: float | None
    chars_p50: float | None
    chars_p95: float | None
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the lines that both the first batch and this one answered with a text, how many have the same text."""

    sequence: int
    shared: int
    same: int


@dataclass(frozen=True, slots=True)
class ComparedRecord:
    """A line of one of the batches."""

    sequence: int
    record: LineRecord
    text_hash: int | None


class ShareObject(BaseModel):
    """A share with its interval of 95 % (Wilson); all fields are null if nothing was counted."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


class ComparedBatchObject(BaseModel):
    """`agreement` is with the first batch; null for the first batch itself. `cut` counts the answers that ended by
    `length`."""

    batch_id: str
    model: str | None
    answered: int
    succeeded: int
    failed: int
    cut: int
    json_count: int
    seconds_p50: float | None
    seconds_p95: float | None
    chars_p50: float | None
    chars_p95: float | None
    output_tokens: int
    agreement: ShareObject | None


class ComparisonObject(BaseModel):
    object: str = "comparison"
    data: list[ComparedBatchObject]


class ComparedAnswerObject(BaseModel):
    """`text` is cut at 4,000 characters; null if the answer has no text. `agrees` says whether it equals the first
    batch's."""

    batch_id: str
    succeeded: bool
    status_code: int | None
    error_code: str | None
    finish_reason: str | None
    output_tokens: int
    seconds: float
    text: str | None
    agrees: bool


class ComparedLineObject(BaseModel):
    """`answers` has one place for each batch, in the requested order; null if that batch has no answer yet."""

    line: int
    custom_id: str
    request: str | None
    answers: list[ComparedAnswerObject | None]


class ComparedPage(BaseModel):
    """In input order. To get the next page, pass `last_line` as `after_line`."""

    object: str = "list"
    data: list[ComparedLineObject]
    has_more: bool
    last_line: int | None


def parse_compare_params(query: Mapping[str, str]) -> CompareParams:
    """Parse the query. Raises Refusal."""
    limit, after = query.get("limit", str(COMPARED_DEFAULT)), query.get("after_line", "0")
    return CompareParams(
        batch_ids=_batch_ids(query.get("batches", "")),
        only=_only(query.get("only", Only.ALL.value)),
        after_line=integer_between(integer_of_text(after, "after_line"), "after_line", 0, LINE_MAX),
        limit=integer_between(integer_of_text(limit, "limit"), "limit", 1, COMPARED_MAX),
    )


def check_comparable(batches: Sequence[BatchRecord]) -> None:
    """Check that the batches can be compared. Raises Refusal."""
    if sum(batch.counts.total for batch in batches) > LINES_TOGETHER_MAX:
        message = f"Together the batches may have {LINES_TOGETHER_MAX:,} requests."
        raise Refusal(Reason.VALUE_INVALID, message, "batches")


def comparison_view(
    batches: Sequence[BatchRecord], statistics: Sequence[AnswerStatistics], agreements: Sequence[Agreement]
) -> ComparisonObject:
    by_sequence = {each.sequence: each for each in statistics}
    shares = {each.sequence: share_view(each.same, each.shared) for each in agreements}
    first = batches[0].sequence
    return ComparisonObject(
        data=[
            _batch_view(
                batch,
                by_sequence.get(batch.sequence, _NOTHING),
                shares.get(batch.sequence, share_view(0, 0)) if batch.sequence != first else None,
            )
            for batch in batches
        ]
    )


def share_view(count: int, of: int) -> ShareObject:
    """Return the share and its interval by Wilson, Probable Inference (1927), which holds for small counts and near 0
    and 1."""
    if not of:
        return ShareObject(count=count, of=of, share=None, low=None, high=None)
    share = count / of
    spread = 1 + Z_95**2 / of
    centre = (share + Z_95**2 / (2 * of)) / spread
    half = Z_95 * math.sqrt(share * (1 - share) / of + Z_95**2 / (4 * of**2)) / spread
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return ShareObject(count=count, of=of, share=round(share, 6), low=round(low, 6), high=round(high, 6))


def answer_view(
    batch_id: str, compared: ComparedRecord, first_hash: int | None, answer: bytes | None
) -> ComparedAnswerObject:
    record, text = compared.record, said(answer)
    return ComparedAnswerObject(
        batch_id=batch_id,
        succeeded=record.is_success,
        status_code=record.status_code,
        error_code=record.error_code,
        finish_reason=record.finish_reason,
        output_tokens=record.output_tokens,
        seconds=round(record.seconds, 3),
        text=text[:TEXT_CHARS_MAX] if text is not None else None,
        agrees=compared.text_hash is not None and compared.text_hash == first_hash,
    )


def said(answer: bytes | None) -> str | None:
    """Return the text of an output line."""
    try:
        decoded = msgspec.json.decode(answer) if answer is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return answer_text(decoded) if isinstance(decoded, dict) else None


def compared_heading(batches: Sequence[BatchRecord]) -> bytes:
    """Return the heading; each batch has two columns: its answer, and whether it agrees with the first."""
    names = [f"{batch.model or 'several models'} ({batch.id})" for batch in batches]
    return _row(["line", "custom_id", "request", *(part for name in names for part in (name, f"{name} agrees"))])


def compared_row(line: ComparedLineObject) -> bytes:
    answers = [(answer.text, answer.agrees) if answer is not None else (None, None) for answer in line.answers]
    return _row([line.line, line.custom_id, line.request, *(part for answer in answers for part in answer)])


def _row(values: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([text_cell(value) for value in values])
    return text.getvalue().encode(errors="replace")


def _batch_view(batch: BatchRecord, statistics: AnswerStatistics, agreement: ShareObject | None) -> ComparedBatchObject:
    return ComparedBatchObject(
        batch_id=batch.id,
        model=batch.model,
        answered=statistics.answered,
        succeeded=statistics.succeeded,
        failed=statistics.answered - statistics.succeeded,
        cut=statistics.cut,
        json_count=statistics.json,
        seconds_p50=_rounded(statistics.seconds_p50),
        seconds_p95=_rounded(statistics.seconds_p95),
        chars_p50=_rounded(statistics.chars_p50),
        chars_p95=_rounded(statistics.chars_p95),
        output_tokens=statistics.output_tokens,
        agreement=agreement,
    )


_NOTHING = AnswerStatistics(0, 0, 0, 0, 0, None, None, None, None, 0)


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None else None


def _batch_ids(text: str) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(part.strip() for part in text[:BATCHES_CHARS_MAX].split(",") if part.strip()))
    if not BATCHES_MIN <= len(ids) <= BATCHES_MAX:
        message = f"Give {BATCHES_MIN} to {BATCHES_MAX} different batches, with commas between, as 'batches'."
        raise Refusal(Reason.VALUE_INVALID, message, "batches")
    return ids


def _only(text: str) -> Only:
    if text not in tuple(Only):
        message = f"Invalid value: '{text}'. Supported values are: 'all', 'different', and 'failed'."
        raise Refusal(Reason.VALUE_INVALID, message, "only")
    return Only(text)
