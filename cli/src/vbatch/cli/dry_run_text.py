"""Describes a dry run in sentences: what was answered, and what the whole file would cost."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from vbatch.contracts.durations import rough_duration
from vbatch.contracts.event_text import amount

ANSWER_CHARS_SHOWN = 300
FAULTS_SHOWN = 10


class Range(msgspec.Struct, frozen=True):
    value: int
    low: int
    high: int


class Fault(msgspec.Struct, frozen=True):
    message: str
    line: int | None = None


class TriedLine(msgspec.Struct, frozen=True):
    line: int
    custom_id: str
    status_code: int
    seconds: float
    body: object = None


class Money(msgspec.Struct, frozen=True):
    input: float | None = None
    output: float | None = None
    energy: float | None = None


class Estimate(msgspec.Struct, frozen=True):
    work_seconds: float
    is_guess: bool
    input_tokens: Range | None = None
    input_tokens_counted_lines: int = 0
    output_tokens: Range | None = None
    ends_at: int | None = None
    ends_at_earliest: int | None = None
    ends_at_latest: int | None = None
    watt_hours: float | None = None
    money: Money | None = None


class DryRun(msgspec.Struct, frozen=True):
    """The gateway's object, reduced to the fields that are shown."""

    is_fit: bool
    requests: int
    model: str | None = None
    faults: list[Fault] = []
    answers: list[TriedLine] = []
    estimate: Estimate | None = None


def dry_run_lines(found: DryRun, now: float) -> Iterator[str]:
    """Yield the description line by line."""
    if not found.is_fit or found.estimate is None:
        yield from _faults(found)
        return
    for answer in found.answers:
        failed = "" if answer.status_code < 400 else f" with status {answer.status_code}"
        yield f"line {answer.line} ({answer.custom_id}), answered in {answer.seconds:.1f} s{failed}:"
        yield f"  {_shown(answer.body)}"
    yield ""
    yield f"All {amount(found.requests, 'request')} on {found.model} would cost about:"
    yield from (f"  {line}" for line in _estimate(found.estimate, now))
    if found.estimate.is_guess:
        yield "The time is a guess, because the model has few measurements yet."
    yield "Nothing was created."


def _faults(found: DryRun) -> Iterator[str]:
    yield "The file cannot become a batch:"
    for fault in found.faults[:FAULTS_SHOWN]:
        where = f"line {fault.line}: " if fault.line else ""
        yield f"  {where}{fault.message}"
    if len(found.faults) > FAULTS_SHOWN:
        yield f"  and {len(found.faults) - FAULTS_SHOWN} more"


def _estimate(estimate: Estimate, now: float) -> Iterator[str]:
    if (tokens := estimate.input_tokens) is not None:
        counted = amount(estimate.input_tokens_counted_lines, "line")
        yield f"{tokens.value:,} tokens in ({tokens.low:,} to {tokens.high:,}, counted on {counted})"
    if (tokens := estimate.output_tokens) is not None:
        yield f"{tokens.value:,} tokens out ({tokens.low:,} to {tokens.high:,})"
    yield f"{rough_duration(estimate.work_seconds)} of work on this device"
    if estimate.ends_at is not None and estimate.ends_at_earliest is not None and estimate.ends_at_latest is not None:
        times = (estimate.ends_at, estimate.ends_at_earliest, estimate.ends_at_latest)
        likely, earliest, latest = (rough_duration(at - now, shortest="now") for at in times)
        yield f"an end in {likely} if you submit it now ({earliest} to {latest}, today's queue counted)"
    if estimate.watt_hours is not None:
        yield f"{estimate.watt_hours:,.1f} Wh"
    if estimate.money is not None:
        parts = {name: getattr(estimate.money, name) for name in ("input", "output", "energy")}
        yield "money: " + ", ".join(f"{cost:,.4f} for {name}" for name, cost in parts.items() if cost is not None)


def _shown(body: object) -> str:
    """Return the text of an answer, or its JSON. A long one is cut."""
    text = _words(body) or msgspec.json.encode(body).decode()
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= ANSWER_CHARS_SHOWN else f"{one_line[:ANSWER_CHARS_SHOWN]}..."


def _words(body: object) -> str:
    match body:
        case {"choices": [{"message": {"content": str() as text}}, *_]} | {"choices": [{"text": str() as text}, *_]}:
            return text
        case {"error": {"message": str() as text}}:
            return text
        case _:
            return ""
