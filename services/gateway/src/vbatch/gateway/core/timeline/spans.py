"""The periods in the life of a batch, and which of them are shown as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from vbatch.gateway.core.timeline.objects import SpanObject

MERGED_SECONDS = 2.0
"""Slices of one runner are one span if the gap between them is no longer than this."""


@dataclass(frozen=True, slots=True)
class Span:
    lane: str
    kind: str
    label: str
    start: datetime
    end: datetime | None
    sequence: int

    @property
    def seen(self) -> SpanObject:
        end = self.end.timestamp() if self.end is not None else None
        return SpanObject(
            lane=self.lane,
            kind=self.kind,
            label=self.label,
            starts_at=self.start.timestamp(),
            ends_at=end,
            sequence=self.sequence,
        )


def merged(spans: Sequence[Span]) -> Iterator[Span]:
    """Yield the spans of one lane; spans that overlap or follow each other closely become one."""
    current: Span | None = None
    for span in spans:
        if current is not None and _is_close(current, span):
            current = replace(current, end=None if span.end is None else max(current.end or span.end, span.end))
            continue
        if current is not None:
            yield current
        current = replace(span)
    if current is not None:
        yield current


def _is_close(before: Span, after: Span) -> bool:
    if (before.lane, before.label) != (after.lane, after.label):
        return False
    return before.end is None or after.start - before.end <= timedelta(seconds=MERGED_SECONDS)
