"""Judging an answer: how a form becomes the body for the API, and what is refused before the API is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vbatch.console.core.curation_objects import Judgement
from vbatch.console.core.new_batch import Misfilled
from vbatch.contracts.curation import SCORE_MAX, SCORE_MIN, TAGS_COUNT_MAX, Verdict

SOURCE = "console"
LOCAL_JUDGE = "local"
"""The name under which a server without keys records judgements."""
TEXT_CHARS_MAX = 64 * 1024
VERDICT_KEYS = ((Verdict.GOOD, "Good", "+"), (Verdict.BAD, "Bad", "-"), (Verdict.UNSURE, "Unsure", "0"))
SCORES = tuple(range(int(SCORE_MIN), int(SCORE_MAX) + 1))


@dataclass(frozen=True, slots=True)
class Standing:
    """The judgements of one judge that count: the newest of each kind."""

    verdict: Verdict | None = None
    score: float | None = None
    edited: str | None = None


def standing(judgements: Iterable[Judgement], judge: str) -> Standing:
    """Return the standing of the judge, from judgements of one answer in any order."""
    own = sorted((each for each in judgements if each.judge == judge), key=lambda each: -each.sequence)
    return Standing(
        next((each.verdict for each in own if each.verdict is not None), None),
        next((each.score for each in own if each.score is not None), None),
        next((each.edited for each in own if each.edited is not None), None),
    )


def judgement_body(batch_id: str, line: int, fields: Mapping[str, str]) -> dict[str, object]:
    """Return the body of `POST /v1/judgements` for one form about one answer. Raises Misfilled."""
    said: dict[str, object] = {
        name: value
        for name, value in (
            ("verdict", fields.get("verdict") or None),
            ("score", _score(fields.get("score", ""))),
            ("tags", _tags(fields.get("tags", "")) or None),
            ("note", fields.get("note", "").strip()[:TEXT_CHARS_MAX] or None),
            ("edited", _edited(fields)),
        )
        if value is not None
    }
    if not said:
        raise Misfilled("Nothing is said: choose a verdict or a score, or write a tag, a note or a better answer.")
    return {"judgements": [{"batch_id": batch_id, "line": line} | said], "source": SOURCE}


def vote_body(batch_ids: tuple[str, str], line: int, vote: str) -> dict[str, object]:
    """Return the body of `POST /v1/judgements` for a vote between the answers of two batches to one line."""
    first, second = batch_ids
    pair = {"batch_id": first, "line": line, "other_batch_id": second, "other_line": line, "vote": vote}
    return {"judgements": [pair], "source": SOURCE}


def _score(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        score = float(text)
    except ValueError:
        score = SCORE_MIN - 1
    if not SCORE_MIN <= score <= SCORE_MAX:
        raise Misfilled(f"A score is a number from {SCORE_MIN:g} to {SCORE_MAX:g}.")
    return score


def _tags(text: str) -> list[str]:
    tags = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    if len(tags) > TAGS_COUNT_MAX:
        raise Misfilled(f"An answer has at most {TAGS_COUNT_MAX} tags.")
    return tags


def _edited(fields: Mapping[str, str]) -> str | None:
    """Return the better answer; None if the text of the answer is unchanged."""
    edited = fields.get("edited", "").replace("\r\n", "\n")
    original = fields.get("original", "").replace("\r\n", "\n")
    return edited if edited.strip() and edited != original else None
