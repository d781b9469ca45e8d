"""Which answers are unlike the others, by their embeddings; and which embeddings are refused."""

from __future__ import annotations

import json
from array import array
from base64 import b64encode
from collections.abc import Sequence
from math import cos, sin
from random import Random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.events import BATCH
from tests.support.exchanges import embedding_outcome, embedding_request
from tests.unit.gateway.curation.judged import OTHER_BATCH
from tests.unit.gateway.curation.test_labelings import exchange
from vbatch.contracts.lines import output_line
from vbatch.gateway.core.curation import outliers
from vbatch.gateway.core.curation.examples import Answered
from vbatch.gateway.core.curation.judgements import AnswerKey
from vbatch.gateway.core.curation.labelings import chosen_items, parse_labeling_params
from vbatch.gateway.core.curation.outliers import Embeddings, distances, must_be_few, outlying
from vbatch.gateway.core.refusals import Refusal


def embedded(line: int, *data: Any) -> Answered:
    """The request and the answer of one line of a batch of embeddings."""
    answer = output_line(OTHER_BATCH, embedding_outcome(line, *data))
    return Answered(AnswerKey(OTHER_BATCH, line), embedding_request(line), answer)


def embeddings_of(*vectors: Any) -> Embeddings:
    found = Embeddings(OTHER_BATCH)
    found.add(embedded(line, vector) for line, vector in enumerate(vectors, 1))
    return found


def angle(radians: float) -> list[float]:
    return [cos(radians), sin(radians)]


def near(random: Random, centre: Sequence[float], spread: float = 0.05) -> list[float]:
    return [each + random.gauss(0, spread) for each in centre]


def test_answers_that_are_unlike_the_others_come_first():
    exchanges = [exchange(line, f"Q {line}?", f"answer {line}") for line in range(1, 7)]
    found = embeddings_of(*(angle(turn) for turn in (0.0, 0.1, 2.0, 0.2, 1.0, 0.15)))
    fields = {"batch_ids": [BATCH], "order": "outlier", "embeddings": OTHER_BATCH, "sample": 2}
    params = parse_labeling_params(json.dumps(fields).encode())
    items = chosen_items(exchanges, params, {}, outlying(exchanges, found, params.seed)).items
    assert [item.answer.line for item in items] == [3, 5]


def test_single_answers_far_from_every_group_are_found_among_many():
    random = Random(3)
    groups = [[random.gauss(0, 1) for _ in range(32)] for _ in range(3)]
    vectors = {f"row-{place}": array("f", near(random, groups[place % 3])) for place in range(600)}
    strange = {f"odd-{place}": array("f", [random.gauss(0, 1) for _ in range(32)]) for place in range(5)}
    found = distances({**vectors, **strange}, seed=1)
    farthest = sorted(found, key=lambda name: -found[name])[:5]
    assert set(farthest) == set(strange)


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=80), st.integers(0, 9))
def test_distances_are_those_of_unit_vectors_and_the_seed_decides_them(turns: list[float], seed: int):
    found = embeddings_of(*(angle(turn) for turn in turns)).vectors
    measured = distances(found, seed)
    assert measured == distances(dict(reversed(found.items())), seed)
    assert set(measured) == set(found) and all(0 <= each <= 2.0001 for each in measured.values())


def test_the_length_of_an_embedding_and_its_encoding_make_no_difference():
    packed = b64encode(array("f", [30.0, 40.0]).tobytes()).decode()
    first, second = embeddings_of([0.3, 0.4], packed).vectors.values()
    assert list(first) == pytest.approx([0.6, 0.8])
    assert list(second) == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("data", [([0.0, 0.0],), ("no base64!",), ("AAA=",), ([1.0], [2.0]), ()])
def test_an_answer_without_one_embedding_is_passed_over(data: tuple[Any, ...]):
    found = Embeddings(OTHER_BATCH)
    found.add([embedded(1, *data), embedded(2, [1.0, 0.0])])
    assert list(found.vectors) == ["row-2"]


def test_embeddings_of_two_models_are_refused():
    with pytest.raises(Refusal, match="2 dimensions here and 3"):
        embeddings_of([1.0, 0.0], [1.0, 0.0, 0.0])


def test_too_many_embeddings_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outliers, "NUMBERS_MAX", 5)
    with pytest.raises(Refusal, match="more than 5 numbers"):
        embeddings_of(*[[1.0, 0.0]] * 3)
    with pytest.raises(Refusal, match="at most 50,000"):
        must_be_few(OTHER_BATCH, 50_001)


def test_embeddings_of_something_else_are_refused():
    with pytest.raises(Refusal, match="same custom_id"):
        outlying([exchange(9, "Q?", "x")], embeddings_of([1.0, 0.0], [0.0, 1.0]), 0)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"order": "outlier"}, "embeddings"),
        ({"embeddings": OTHER_BATCH}, "embeddings"),
        ({"order": "outlier", "embeddings": OTHER_BATCH, "batch_ids": [BATCH, OTHER_BATCH]}, "batch_ids"),
        ({"order": "outlier", "embeddings": "batch_x"}, None),
    ],
)
def test_outliers_and_embeddings_belong_together(fields: dict[str, Any], param: str | None):
    with pytest.raises(Refusal) as refused:
        parse_labeling_params(json.dumps({"batch_ids": [BATCH]} | fields).encode())
    assert param in (None, refused.value.param)
