"""What a person should judge next: where judges differ, and where a score decides little."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.events import BATCH
from tests.unit.gateway.curation.judged import EVERYTHING, compared, said
from tests.unit.gateway.curation.test_labelings import CHATS
from vbatch.contracts.curation import Verdict, Vote
from vbatch.gateway.core.curation.doubts import NO_DOUBT, disagreement, doubt_of, doubts_of
from vbatch.gateway.core.curation.judgements import AnswerKey, JudgementRecord
from vbatch.gateway.core.curation.labelings import chosen_items, parse_labeling_params
from vbatch.gateway.core.refusals import Refusal

GOOD, BAD, UNSURE = Verdict.GOOD, Verdict.BAD, Verdict.UNSURE


def key(line: int) -> AnswerKey:
    return AnswerKey(BATCH, line)


def handed_out(records: list[JudgementRecord], **fields: Any) -> list[int]:
    params = parse_labeling_params(json.dumps({"batch_ids": [BATCH], **fields}).encode())
    doubts = doubts_of(records, EVERYTHING)
    return [item.answer.line for item in chosen_items(CHATS, params, {}, doubts).items]


@pytest.mark.parametrize(
    ("verdicts", "share"),
    [([], 0.0), ([GOOD], 0.0), ([GOOD, GOOD], 0.0), ([GOOD, BAD], 1.0), ([GOOD, GOOD, BAD], 2 / 3)],
)
def test_disagreement_is_the_share_of_two_judges_who_differ(verdicts: list[Verdict], share: float):
    assert disagreement(verdicts) == pytest.approx(share)


def test_those_about_which_judges_differ_most_come_first_and_the_others_not_at_all():
    records = [
        said(1, 5, "anna", verdict=GOOD),
        said(2, 5, "ben", verdict=GOOD),
        said(3, 5, "cleo", verdict=BAD),
        said(4, 8, "anna", verdict=GOOD),
        said(5, 8, "ben", verdict=BAD),
        said(6, 9, "anna", verdict=GOOD),
        said(7, 9, "ben", verdict=GOOD),
    ]
    assert handed_out(records, order="disagreement") == [8, 5]
    assert handed_out(records, order="disagreement", sample=1) == [8]


def test_scores_that_are_nearest_to_a_threshold_come_first():
    scores = {3: 5.0, 4: 3.9, 6: 2.5, 7: 4.0}
    records = [said(line, line, "m", score=score) for line, score in scores.items()]
    assert handed_out(records, order="margin") == [7, 4, 6, 3]


def test_where_nothing_is_in_doubt_there_is_nothing_to_hand_out():
    with pytest.raises(Refusal, match="nothing to judge"):
        handed_out([said(1, 5, verdict=GOOD)], order="disagreement")


def test_a_pair_is_known_in_either_order():
    doubts = doubts_of([compared(1, 4, Vote.A, 2), compared(2, 2, Vote.A, 4, "ben")], EVERYTHING)
    assert doubt_of(doubts, [key(2), key(4)]) == doubt_of(doubts, [key(4), key(2)])
    assert doubt_of(doubts, [key(2), key(4)]).disagreement == 1.0
    assert doubt_of(doubts, [key(9)]) is NO_DOUBT


@given(st.lists(st.sampled_from([GOOD, BAD, UNSURE]), max_size=8))
def test_disagreement_is_a_share_and_does_not_depend_on_the_order(verdicts: list[Verdict]):
    assert 0 <= disagreement(verdicts) <= 1
    assert disagreement(verdicts) == pytest.approx(disagreement(verdicts[::-1]))
    assert (disagreement(verdicts) == 0) == (len(set(verdicts)) <= 1)
