"""The quality of a batch's answers without reading them: each flaw with its share and its alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vbatch.console.core.reading_objects import FlawShare, Quality
from vbatch.contracts.events import Flaw

ALARM_SHARE = 0.5
"""The server reports it as an event."""
DOUBT_SHARE = 0.05
ANSWERS_MIN = 50
"""With fewer answers a share is mostly chance."""
WORDS = {
    Flaw.EMPTY: "Empty",
    Flaw.CUT: "Cut by the token limit",
    Flaw.NOT_JSON: "Not the JSON that was asked for",
    Flaw.REFUSED: "Refusals",
    Flaw.REPEATING: "Repeating to the end",
}


@dataclass(frozen=True, slots=True)
class FlawRow:
    """`limit` is the share at which the batch pauses, if one is set; `tone` is good, warn or bad."""

    words: str
    count: int
    share: float
    limit: float | None
    tone: str


def flaw_rows(quality: Quality, pause_on: Mapping[str, float] | None) -> list[FlawRow]:
    """Return every flaw, in the order of the catalogue."""
    limits = pause_on or {}
    return [_row(flaw, _of(quality, flaw), limits.get(flaw), quality.answers) for flaw in Flaw]


def quality_words(rows: list[FlawRow]) -> str:
    """Return one sentence about all flaws."""
    worst = max(rows, key=lambda row: row.share)
    if worst.tone == "good":
        return "Nothing is conspicuous."
    return f"{worst.words}: {100 * worst.share:.0f} % of the answers."


def _of(quality: Quality, flaw: Flaw) -> FlawShare:
    match flaw:
        case Flaw.EMPTY:
            return quality.empty
        case Flaw.CUT:
            return quality.cut
        case Flaw.NOT_JSON:
            return quality.not_json
        case Flaw.REFUSED:
            return quality.refused
        case Flaw.REPEATING:
            return quality.repeating


def _row(flaw: Flaw, found: FlawShare, limit: float | None, answers: int) -> FlawRow:
    return FlawRow(WORDS[flaw], found.count, found.share, limit, _tone(found.share, limit, answers))


def _tone(share: float, limit: float | None, answers: int) -> str:
    if share > 0 and share >= (limit if limit is not None else ALARM_SHARE):
        return "bad"
    return "warn" if answers >= ANSWERS_MIN and share >= DOUBT_SHARE else "good"
