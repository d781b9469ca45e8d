"""Which answers go to Label Studio: the template that fits, a sample that the seed draws, pairs without favour."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from tests.support.events import BATCH, MODEL
from tests.support.exchanges import answered, asked
from tests.unit.gateway.curation.judged import OTHER_BATCH
from vbatch.contracts.curation import EDITED_BYTES_MAX
from vbatch.contracts.ids import BatchId
from vbatch.contracts.labeling import LabelingTemplate
from vbatch.gateway.core.curation.examples import Answered, Exchange, exchange_of
from vbatch.gateway.core.curation.judgements import AnswerKey
from vbatch.gateway.core.curation.labelings import LabelingParams, chosen_items, model_versions, parse_labeling_params
from vbatch.gateway.core.refusals import Refusal

SCHEMA = {"type": "object", "properties": {"why": {"type": "string"}, "mood": {"enum": ["glad", "sad"]}}}
STRUCTURED = {"response_format": {"type": "json_schema", "json_schema": {"name": "mood", "schema": SCHEMA}}}


def exchange(line: int, question: str, answer: str, batch_id: BatchId = BATCH, **body: Any) -> Exchange:
    return exchange_of(Answered(AnswerKey(batch_id, line), asked(line, question, **body), answered(line, answer)))


def params(*batch_ids: BatchId, **fields: Any) -> LabelingParams:
    return parse_labeling_params(json.dumps({"batch_ids": list(batch_ids) or [BATCH]} | fields).encode())


CHATS = [exchange(line, f"Question {line}?", "x" * line) for line in range(1, 101)]


def test_free_answers_are_a_chat_and_all_of_them_go():
    chosen = chosen_items(CHATS, params(), {MODEL: "m@1"})
    assert (chosen.template, len(chosen.items), chosen.labels) == (LabelingTemplate.CHAT, 100, ())
    assert chosen.items[0].answer.model_version == "m@1"
    assert chosen.items[0].messages == [{"role": "user", "content": "Question 1?"}]


def test_the_seed_draws_the_sample():
    drawn = [
        [item.answer.line for item in chosen_items(CHATS, params(sample=10, seed=seed), {}).items] for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 10 and drawn[0] == sorted(drawn[0])


def test_a_sample_by_model_has_as_many_of_each():
    mixed = [exchange(line, f"Q {line}", "yes", model="rare" if line <= 5 else "often") for line in range(1, 101)]
    for sample, counts in ((8, {"rare": 4, "often": 4}), (20, {"rare": 5, "often": 15})):
        items = chosen_items(mixed, params(sample=sample, stratum="model"), {}).items
        assert Counter(item.answer.model_version for item in items) == counts


def test_a_sample_by_length_has_as_many_of_each_quarter():
    items = chosen_items(CHATS, params(sample=20, stratum="length"), {}).items
    assert Counter((item.answer.line - 1) // 25 for item in items) == {0: 5, 1: 5, 2: 5, 3: 5}


@pytest.mark.parametrize(
    ("body", "answers", "field"),
    [
        (STRUCTURED, ['{"mood": "sad", "why": "x"}', '{"mood": "cross"}', "no JSON"], "mood"),
        ({"guided_choice": ["glad", "sad"]}, ["sad", "cross", ""], ""),
        ({"structured_outputs": {"choice": ["glad", "sad"]}}, ["sad", "cross", ""], ""),
    ],
)
def test_requests_that_name_their_choices_are_a_classification(body: dict[str, Any], answers: list[str], field: str):
    exchanges = [exchange(line, f"Q {line}", answer, **body) for line, answer in enumerate(answers, 1) if answer]
    chosen = chosen_items(exchanges, params(), {})
    assert (chosen.template, chosen.labels) == (LabelingTemplate.CLASSIFICATION, ("glad", "sad"))
    assert [item.label for item in chosen.items][:2] == ["sad", None]
    assert {item.label_field for item in chosen.items} == {field}


def test_two_batches_are_pairs_whose_sides_are_drawn():
    other = [exchange(line, f"Question {line}?", "other", OTHER_BATCH) for line in range(1, 101)]
    chosen = chosen_items([*CHATS, *other], params(BATCH, OTHER_BATCH, seed=3), {})
    assert (chosen.template, len(chosen.items)) == (LabelingTemplate.PAIRWISE, 100)
    sides = Counter(item.answer.batch_id for item in chosen.items)
    assert min(sides[BATCH], sides[OTHER_BATCH]) > 30
    assert all(item.other is not None and item.answer.line == item.other.line for item in chosen.items)


def test_equal_answers_and_other_prompts_are_no_pairs():
    other = [exchange(1, "Question 1?", "x", OTHER_BATCH), exchange(2, "Another question?", "y", OTHER_BATCH)]
    with pytest.raises(Refusal, match="nothing to judge"):
        chosen_items([*CHATS[:2], *other], params(BATCH, OTHER_BATCH), {})


def test_only_what_was_asked_for_goes():
    long = exchange(200, "Long?", "x" * (EDITED_BYTES_MAX + 1))
    assert len(chosen_items([*CHATS, long], params(custom_id="row-2"), {}).items) == 11
    with pytest.raises(Refusal):
        chosen_items(CHATS, params(model="other"), {})
    with pytest.raises(Refusal, match="choices"):
        chosen_items(CHATS, params(template="classification"), {})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"batch_ids": []}, "batch_ids"),
        ({"sample": 0}, "sample"),
        ({"sample": 10_001}, "sample"),
        ({"template": "quiz"}, "template"),
        ({"stratum": "luck"}, "stratum"),
        ({"project_id": 0}, "project_id"),
        ({"title": "a\nb"}, "title"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_ask_that_makes_no_sense_is_refused_and_named(fields: dict[str, Any], param: str):
    with pytest.raises(Refusal) as refused:
        params(**fields)
    assert refused.value.param == param


def test_a_model_version_names_the_revision_or_a_digest_of_the_definition():
    versions = model_versions([("a", b"{}", "main"), ("b", b"{}", None)])
    assert versions == {"a": "a@main", "b": "b@44136fa3"}
