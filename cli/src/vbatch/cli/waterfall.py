"""A trace as bars in the terminal: each span is below its parent, at its place in the time of the whole trace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vbatch.contracts.durations import duration
from vbatch.results.core.spans import PREFIX, Span

BAR_COLUMNS = 48
ROWS_MAX = 40
"""The limit without --all: the longest spans, in the order of their starts."""
TOLD = ("model", "requests", "runner", "attempt", "returned", "returned_why", "ending")
"""The attributes that a row shows, in this order."""


@dataclass(frozen=True, slots=True)
class Row:
    """`bar` has BAR_COLUMNS columns."""

    name: str
    starts: str
    takes: str
    bar: str
    forecast: str
    is_error: bool


def rows(spans: Sequence[Span], now: datetime, rows_max: int | None = ROWS_MAX) -> list[Row]:
    """Return the rows, the root first. `now` is the end of a span that has not ended."""
    if not spans:
        return []
    root, children = spans[0], list(spans[1:])
    end = root.end or now
    shown = _longest(children, now, rows_max) if rows_max is not None else children
    return [_row(span, root.start, end, now, is_child=span is not root) for span in (root, *shown)]


def left_out(spans: Sequence[Span], shown: Sequence[Row]) -> int:
    return len(spans) - len(shown)


def _longest(children: list[Span], now: datetime, rows_max: int) -> list[Span]:
    by_length = sorted(children, key=lambda span: (span.end or now) - span.start, reverse=True)
    kept = {span.span_id for span in by_length[: rows_max - 1]}
    return [span for span in children if span.span_id in kept]


def _row(span: Span, start: datetime, end: datetime, now: datetime, *, is_child: bool) -> Row:
    span_end = span.end or now
    return Row(
        name=("  " if is_child else "") + span.name,
        starts=duration((span.start - start).total_seconds()),
        takes=duration((span_end - span.start).total_seconds()) + ("" if span.end else " so far"),
        bar=_bar(span.start, span_end, start, end),
        forecast=" ".join(_told(span)),
        is_error=span.is_error,
    )


def _bar(span_start: datetime, span_end: datetime, start: datetime, end: datetime) -> str:
    """Return the bar. It has at least one column, so that a short span is visible."""
    whole = max((end - start).total_seconds(), 1e-9)
    first = min(BAR_COLUMNS - 1, int(BAR_COLUMNS * max(0.0, (span_start - start).total_seconds()) / whole))
    last = min(BAR_COLUMNS, round(BAR_COLUMNS * (span_end - start).total_seconds() / whole))
    return (" " * first + "█" * max(1, last - first)).ljust(BAR_COLUMNS)


def _told(span: Span) -> Iterator[str]:
    for name in TOLD:
        value = span.attributes.get(PREFIX + name)
        if value is not None and not (name == "attempt" and value == 1):
            yield f"{name}={value}"
