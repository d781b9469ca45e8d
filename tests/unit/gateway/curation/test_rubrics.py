"""A rubric becomes judge requests: one for each answer, two for each pair, and no text is taken for an instruction."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.events import BATCH
from tests.unit.gateway.curation.judged import OTHER_BATCH
from vbatch.contracts.evaluations import (
    EvaluationKind,
    Target,
    judge_custom_id,
    judge_name,
    targets_of,
)
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.contracts.labeling import LabelingAnswer, LabelingItem
from vbatch.contracts.limits import WORD_BYTES_MAX
from vbatch.contracts.previews import Json
from vbatch.gateway.core.curation.evaluations import parse_evaluation_params
from vbatch.gateway.core.curation.rubrics import checked_rubric, judge_requests, prompt_text, rendered
from vbatch.gateway.core.refusals import Refusal

JUDGE = ModelId("org/judge")
ANSWERS, PAIRS = EvaluationKind.ANSWERS, EvaluationKind.PAIRS


def answer(batch_id: BatchId, text: str) -> LabelingAnswer:
    return LabelingAnswer(batch_id=batch_id, line=7, custom_id="row-7", model_version="m@1", text=text)


def requests(item: LabelingItem, rubric: str, kind: EvaluationKind) -> list[dict[str, Any]]:
    template = checked_rubric(rubric, kind)
    return [json.loads(line) for line in judge_requests([item], template, kind, model=JUDGE, tokens_max=99)]


SINGLE = LabelingItem(messages=[{"role": "user", "content": "Say hello."}], answer=answer(BATCH, "Hello!"))
PAIR = LabelingItem(
    messages=[{"role": "user", "content": "Say hello."}],
    answer=answer(BATCH, "Hello!"),
    other=answer(OTHER_BATCH, "Hi."),
)


def test_an_answer_makes_one_request_for_a_score_by_a_schema():
    [request] = requests(SINGLE, "Kind: {answer} to {prompt}. Reply like {x: 1}.", ANSWERS)
    body = request["body"]
    assert targets_of(request["custom_id"]) == (Target(BATCH, 7),)
    assert body["messages"][1]["content"] == "Kind: Hello! to Say hello.. Reply like {x: 1}."
    assert (body["model"], body["temperature"], body["max_tokens"]) == (JUDGE, 0, 99)
    schema = body["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["reason", "score"]
    assert schema["properties"]["score"]["enum"] == [1, 2, 3, 4, 5]


def test_a_pair_is_asked_in_both_orders():
    first, second = requests(PAIR, "{first} or {second}?", PAIRS)
    assert [each["body"]["messages"][1]["content"] for each in (first, second)] == ["Hello! or Hi.?", "Hi. or Hello!?"]
    assert targets_of(first["custom_id"]) == targets_of(second["custom_id"])[::-1]


def test_the_texts_follow_a_rubric_that_places_none():
    [request] = requests(SINGLE, "A kind answer is good.\n", ANSWERS)
    content = request["body"]["messages"][1]["content"]
    assert content == "A kind answer is good.\n\n# Prompt\nSay hello.\n\n# Answer\nHello!"


@pytest.mark.parametrize(
    ("rubric", "kind"), [("{prompt}", ANSWERS), ("{first}", PAIRS), ("{answer} {first} {second}", PAIRS), (" ", PAIRS)]
)
def test_a_rubric_that_misses_a_text_is_refused(rubric: str, kind: EvaluationKind):
    with pytest.raises(Refusal) as refused:
        checked_rubric(rubric, kind)
    assert refused.value.param == "rubric"


def test_a_conversation_shows_who_says_what():
    turns: list[Json] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert prompt_text(turns) == "[system]\nBe brief.\n\n[user]\nHello"


@given(st.text(), st.text())
def test_what_an_answer_says_is_never_a_place(prompt: str, text: str):
    assert rendered("<{prompt}|{answer}>", {"prompt": prompt, "answer": text}) == f"<{prompt}|{text}>"
    hidden = rendered("<{answer}>", {"prompt": prompt, "answer": "{prompt}" + text})
    assert hidden == "<{prompt}" + text + ">"


@given(
    st.lists(st.builds(Target, st.sampled_from([BATCH, OTHER_BATCH]), st.integers(1, 2**31)), min_size=1, max_size=2)
)
def test_a_judge_request_names_what_it_shows(shown: list[Target]):
    assert targets_of(judge_custom_id(shown)) == tuple(shown)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=300))
def test_a_judge_is_named_within_bounds_and_by_its_rubric(model: str):
    one, other = judge_name(model, "aa" * 32), judge_name(model, "bb" * 32)
    assert one != other
    assert len(one.encode()) <= WORD_BYTES_MAX


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rubric", "x" * (16 * 1024 + 1)),
        ("model", "x" * 257),
        ("max_tokens", 8_193),
        ("sample", 10_001),
        ("batch_ids", []),
        ("surprise", 1),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name(field: str, value: object):
    body = {"batch_ids": [BATCH], "model": "m", "rubric": "Be kind."} | {field: value}
    with pytest.raises(Refusal) as refused:
        parse_evaluation_params(json.dumps(body).encode())
    assert refused.value.param is not None and refused.value.param.startswith(field)


def test_two_batches_are_compared_and_one_is_scored():
    for batch_ids, kind in (([BATCH], ANSWERS), ([BATCH, OTHER_BATCH], PAIRS)):
        ask = parse_evaluation_params(json.dumps({"batch_ids": batch_ids, "model": "m", "rubric": "Be kind."}).encode())
        assert ask.kind is kind
