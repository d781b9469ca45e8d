"""Parses the params of judgements: those to record, and those to list."""

from __future__ import annotations

from collections.abc import Mapping

from vbatch.contracts.curation import (
    EDITED_BYTES_MAX,
    NOTE_BYTES_MAX,
    SCORE_MAX,
    SCORE_MIN,
    TAGS_COUNT_MAX,
    JudgementSource,
    Verdict,
    Vote,
)
from vbatch.contracts.ids import BatchId, is_batch_id
from vbatch.contracts.limits import WORD_BYTES_MAX
from vbatch.gateway.core.answer_lines import LINE_MAX
from vbatch.gateway.core.curation.judgements import (
    LIST_DEFAULT,
    AnswerKey,
    Comparison,
    JudgementsListParams,
    JudgementsParams,
    Opinion,
)
from vbatch.gateway.core.curation.values import number_between, one_of, text_within, word, words
from vbatch.gateway.core.pages import BYTES_MAX
from vbatch.gateway.core.refusals import (
    Reason,
    Refusal,
    no_such_batch,
    parameter_missing,
    parameter_unknown,
    type_invalid,
)
from vbatch.gateway.core.shapes import integer, integer_between, integer_of_text, json_object, looked_for, string

JUDGEMENTS_MAX = 500
"""The most judgements of one request, which are recorded all or none."""
LIST_MAX = 1_000
SECONDS_MAX = 86_400.0
SOURCES = (JudgementSource.API, JudgementSource.CONSOLE, JudgementSource.IMPORT, JudgementSource.MODEL)
"""The sources that a client may name; judgements from Label Studio are recorded by the labeler."""
ABOUT_ANSWERS = ("verdict", "score", "tags", "edited")
ABOUT_PAIRS = ("other_batch_id", "other_line", "vote")
ABOUT_BOTH = ("batch_id", "line", "note", "seconds", "reference")


def parse_judgements_params(raw: bytes) -> JudgementsParams:
    """Parse the body. Raises Refusal."""
    body = json_object(raw, required=("judgements",), optional=("judge", "source"))
    items = body["judgements"]
    if not isinstance(items, list):
        raise type_invalid("judgements", "an array", items)
    integer_between(len(items), "judgements.length", 1, JUDGEMENTS_MAX)
    said = tuple(_said(item, f"judgements[{place}]") for place, item in enumerate(items))
    judge = word(body["judge"], "judge") if body.get("judge") is not None else None
    source = JudgementSource.API if body.get("source") is None else one_of(body["source"], SOURCES, "source")
    return JudgementsParams(said, judge, source)


def parse_list_params(query: Mapping[str, str]) -> JudgementsListParams:
    """Parse the query. Raises Refusal."""
    limit = integer_of_text(query.get("limit", str(LIST_DEFAULT)), "limit")
    after = integer_of_text(query["after"], "after") if "after" in query else None
    line = integer_of_text(query["line"], "line") if "line" in query else None
    return JudgementsListParams(
        after=None if after is None else integer_between(after, "after", 0, BYTES_MAX),
        limit=integer_between(limit, "limit", 1, LIST_MAX),
        is_newest_first=one_of(query.get("order", "asc"), ("asc", "desc"), "order") == "desc",
        batch_id=looked_for(query, "batch_id"),
        line=None if line is None else integer_between(line, "line", 1, LINE_MAX),
        judge=looked_for(query, "judge"),
    )


def _said(item: object, name: str) -> Opinion | Comparison:
    if not isinstance(item, dict):
        raise type_invalid(name, "an object", item)
    given = {key: value for key, value in item.items() if value is not None}
    is_pair = any(key in given for key in ABOUT_PAIRS)
    known = (*ABOUT_BOTH, *(ABOUT_PAIRS if is_pair else ABOUT_ANSWERS))
    for key in given:
        if key not in known:
            raise parameter_unknown(f"{name}.{key}")
    return _comparison(given, name) if is_pair else _opinion(given, name)


def _opinion(given: Mapping[str, object], name: str) -> Opinion:
    said = Opinion(
        answer=_answer(given, name, "batch_id", "line"),
        verdict=one_of(given["verdict"], tuple(Verdict), f"{name}.verdict") if "verdict" in given else None,
        score=number_between(given["score"], f"{name}.score", SCORE_MIN, SCORE_MAX) if "score" in given else None,
        tags=words(given.get("tags", []), f"{name}.tags", TAGS_COUNT_MAX),
        note=text_within(given.get("note", ""), f"{name}.note", NOTE_BYTES_MAX),
        edited=text_within(given["edited"], f"{name}.edited", EDITED_BYTES_MAX) if "edited" in given else None,
        seconds=_seconds(given, name),
        reference=_reference(given, name),
    )
    _must_say_something(said, name)
    return said


def _must_say_something(said: Opinion, name: str) -> None:
    """Raises Refusal for an opinion without content."""
    if said.verdict is None and said.score is None and not said.tags and not said.note and said.edited is None:
        message = f"'{name}' says nothing: give a verdict, a score, tags, a note or an edited answer."
        raise Refusal(Reason.PARAMETER_MISSING, message, name)


def _comparison(given: Mapping[str, object], name: str) -> Comparison:
    if "vote" not in given:
        raise parameter_missing(f"{name}.vote")
    answer, other = _answer(given, name, "batch_id", "line"), _answer(given, name, "other_batch_id", "other_line")
    if answer == other:
        raise Refusal(Reason.VALUE_INVALID, f"'{name}' compares an answer with itself.", name)
    return Comparison(
        answer=answer,
        other=other,
        vote=one_of(given["vote"], tuple(Vote), f"{name}.vote"),
        note=text_within(given.get("note", ""), f"{name}.note", NOTE_BYTES_MAX),
        seconds=_seconds(given, name),
        reference=_reference(given, name),
    )


def _answer(given: Mapping[str, object], name: str, batch_key: str, line_key: str) -> AnswerKey:
    for key in (batch_key, line_key):
        if key not in given:
            raise parameter_missing(f"{name}.{key}")
    batch_id = string(given[batch_key], f"{name}.{batch_key}")
    if not is_batch_id(batch_id):
        raise no_such_batch(batch_id)
    line = integer_between(integer(given[line_key], f"{name}.{line_key}"), f"{name}.{line_key}", 1, LINE_MAX)
    return AnswerKey(BatchId(batch_id), line)


def _seconds(given: Mapping[str, object], name: str) -> float | None:
    return number_between(given["seconds"], f"{name}.seconds", 0.0, SECONDS_MAX) if "seconds" in given else None


def _reference(given: Mapping[str, object], name: str) -> str:
    return text_within(given.get("reference", ""), f"{name}.reference", WORD_BYTES_MAX)
