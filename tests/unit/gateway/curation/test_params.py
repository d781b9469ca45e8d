"""What may be asked of judgements and data sets, and how the rest is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.events import BATCH
from vbatch.contracts.curation import EDITED_BYTES_MAX, JudgementSource, Verdict, Vote
from vbatch.gateway.core.curation.datasets import parse_dataset_params, version_of_path
from vbatch.gateway.core.curation.judgement_params import JUDGEMENTS_MAX, parse_judgements_params, parse_list_params
from vbatch.gateway.core.curation.judgements import AnswerKey, Comparison, Opinion
from vbatch.gateway.core.refusals import Refusal

ONE = {"batch_id": BATCH, "line": 3}
PAIR = ONE | {"other_batch_id": BATCH, "other_line": 4, "vote": "a"}


def asked(*judgements: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"judgements": list(judgements)} | more).encode()


def test_opinions_and_comparisons_are_read():
    params = parse_judgements_params(
        asked(ONE | {"verdict": "good", "score": 4, "tags": ["x", "x"]}, PAIR, judge="anna")
    )
    opinion, comparison = params.said
    assert opinion == Opinion(answer=AnswerKey(BATCH, 3), verdict=Verdict.GOOD, score=4.0, tags=("x",))
    assert comparison == Comparison(answer=AnswerKey(BATCH, 3), other=AnswerKey(BATCH, 4), vote=Vote.A)
    assert (params.judge, params.source) == ("anna", JudgementSource.API)
    assert params.answers == [AnswerKey(BATCH, 3), AnswerKey(BATCH, 4)]


@pytest.mark.parametrize(
    ("judgement", "param"),
    [
        (ONE, "judgements[0]"),
        ({"line": 1, "verdict": "good"}, "judgements[0].batch_id"),
        ({"batch_id": BATCH, "verdict": "good"}, "judgements[0].line"),
        (ONE | {"verdict": "great"}, "judgements[0].verdict"),
        (ONE | {"score": 5.5}, "judgements[0].score"),
        (ONE | {"score": True}, "judgements[0].score"),
        (ONE | {"tags": ["a\nb"]}, "judgements[0].tags"),
        (ONE | {"tags": [str(number) for number in range(17)]}, "judgements[0].tags.length"),
        (ONE | {"edited": "x" * (EDITED_BYTES_MAX + 1)}, "judgements[0].edited"),
        (ONE | {"verdict": "good", "vote": "a"}, "judgements[0].verdict"),
        (ONE | {"verdict": "good", "colour": "red"}, "judgements[0].colour"),
        (ONE | {"other_batch_id": BATCH, "other_line": 4}, "judgements[0].vote"),
        (PAIR | {"other_line": 3}, "judgements[0]"),
        (ONE | {"line": 0, "verdict": "good"}, "judgements[0].line"),
    ],
)
def test_a_judgement_that_makes_no_sense_is_refused_and_named(judgement: dict[str, Any], param: str):
    with pytest.raises(Refusal) as refused:
        parse_judgements_params(asked(judgement))
    assert refused.value.param == param


@pytest.mark.parametrize(
    "raw",
    [
        asked(),
        asked(*[ONE | {"verdict": "good"}] * (JUDGEMENTS_MAX + 1)),
        asked(ONE | {"verdict": "good"}, source="label_studio"),
        asked(ONE | {"verdict": "good"}, judge=" "),
        asked({"batch_id": "nonsense", "line": 1, "verdict": "good"}),
        b'{"judgements": 3}',
    ],
)
def test_an_ask_that_makes_no_sense_is_refused(raw: bytes):
    with pytest.raises(Refusal):
        parse_judgements_params(raw)


def test_a_list_is_asked_for_by_batch_line_and_judge():
    params = parse_list_params({"batch_id": BATCH, "line": "3", "judge": "anna", "order": "desc", "limit": "7"})
    assert (params.batch_id, params.line, params.judge) == (BATCH, 3, "anna")
    assert (params.is_newest_first, params.limit, params.after) == (True, 7, None)


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"order": "up"}, {"line": "x"}, {"after": "-1"}])
def test_a_list_cannot_be_asked_for_otherwise(query: dict[str, str]):
    with pytest.raises(Refusal):
        parse_list_params(query)


def dataset(**fields: Any) -> bytes:
    return json.dumps({"name": "support", "batch_ids": [BATCH]} | fields).encode()


def test_a_list_is_looked_for_without_nul_which_no_stored_text_has():
    params = parse_list_params({"batch_id": "batch\0_1", "judge": "an\0na"})
    assert (params.batch_id, params.judge) == ("batch_1", "anna")


def test_a_data_set_is_asked_for_with_its_defaults():
    params = parse_dataset_params(dataset())
    assert (params.name, params.selection.batch_ids, params.sequence) == ("support", (BATCH,), None)
    assert (params.selection.test_share, params.selection.near_duplicate) == (0.1, 0.8)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": "../x"}, "name"),
        ({"name": "Support"}, "name"),
        ({"batch_ids": []}, "batch_ids"),
        ({"batch_ids": [BATCH[:-1] + f"{number:x}" for number in range(17)]}, "batch_ids.length"),
        ({"pair_origins": ["luck"]}, "pair_origins"),
        ({"sources": ["luck"]}, "sources"),
        ({"test_share": 0.6, "validation_share": 0.4}, "test_share"),
        ({"test_share": -0.1}, "test_share"),
        ({"near_duplicate": 0.3}, "near_duplicate"),
        ({"good_score_min": 2, "bad_score_max": 2}, "bad_score_max"),
        ({"seed": -1}, "seed"),
        ({"at_sequence": 0}, "at_sequence"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_data_set_that_makes_no_sense_is_refused_and_named(fields: dict[str, Any], param: str):
    with pytest.raises(Refusal) as refused:
        parse_dataset_params(dataset(**fields))
    assert refused.value.param == param


def test_a_version_is_a_number_or_the_latest():
    assert (version_of_path("7"), version_of_path("latest")) == (7, None)
    for text in ("0", "-1", "x", "1" * 400, "²"):
        with pytest.raises(Refusal):
            version_of_path(text)
