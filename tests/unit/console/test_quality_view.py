"""How the answers of a batch look without reading them."""

from __future__ import annotations

import pytest

from vbatch.console.core.quality_view import flaw_rows, quality_words
from vbatch.console.core.reading_objects import FlawShare, Quality


def quality(answers: int, empty: float) -> Quality:
    none = FlawShare(0, 0.0)
    return Quality(answers, FlawShare(int(answers * empty), empty), none, none, none, none)


@pytest.mark.parametrize(
    ("answers", "share", "limits", "tone"),
    [
        (1_000, 0.0, None, "good"),
        (1_000, 0.04, None, "good"),
        (1_000, 0.05, None, "warn"),
        (49, 0.2, None, "good"),
        (10, 0.5, None, "bad"),
        (1_000, 0.1, {"empty": 0.1}, "bad"),
        (1_000, 0.6, {"empty": 0.7}, "warn"),
        (1_000, 0.0, {"empty": 0.01}, "good"),
    ],
)
def test_a_flaw_is_told_by_its_share_and_its_limit(
    answers: int, share: float, limits: dict[str, float] | None, tone: str
):
    row = flaw_rows(quality(answers, share), limits)[0]
    assert (row.words, row.tone, row.limit) == ("Empty", tone, (limits or {}).get("empty"))


def test_the_worst_flaw_is_named():
    assert quality_words(flaw_rows(quality(1_000, 0.3), None)) == "Empty: 30 % of the answers."
    assert quality_words(flaw_rows(quality(1_000, 0.0), None)) == "Nothing is conspicuous."
