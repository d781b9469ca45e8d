"""What a model says as a judge: only a valid verdict counts, of a pair only one that both orders share."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.support.events import BATCH, EVALUATION, NOON, OWNER
from tests.unit.gateway.curation.judged import OTHER_BATCH
from vbatch.contracts import events as e
from vbatch.contracts.curation import JudgementSource, Vote
from vbatch.contracts.evaluations import EvaluationKind, Target, judge_custom_id
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import BatchId
from vbatch.contracts.lines import output_line
from vbatch.results.core.verdicts import DueEvaluation, NoVerdict, Tally, decided, recorded, verdict_of

JUDGE_BATCH = BatchId("batch_" + "9" * 32)
ONE, OTHER = Target(BATCH, 7), Target(OTHER_BATCH, 7)
NOTHING = Tally()
ANSWERS, PAIRS = EvaluationKind.ANSWERS, EvaluationKind.PAIRS


def due(kind: EvaluationKind, item_count: int, tally: Tally = NOTHING) -> DueEvaluation:
    return DueEvaluation(
        id=EVALUATION,
        owner=OWNER,
        kind=kind,
        judge_batch_id=JUDGE_BATCH,
        judge="judge@1#ab",
        item_count=item_count,
        batch_sequence=1,
        tally=tally,
        is_gone=False,
    )


def replied(line: int, shown: list[Target], content: str | None, finish: str = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    body = msgspec.Raw(json.dumps({"choices": [choice]}).encode())
    outcome = e.Outcome(line=line, custom_id=judge_custom_id(shown), status_code=200, body=body)
    return output_line(JUDGE_BATCH, outcome)


def scored(line: int, target: Target, score: Any) -> bytes:
    return replied(line, [target], json.dumps({"reason": "It is kind.", "score": score}))


def preferred(line: int, shown: list[Target], better: str) -> bytes:
    return replied(line, shown, json.dumps({"reason": "It is shorter.", "better": better}))


def test_a_score_becomes_a_judgement_that_names_the_model_and_the_judge_request():
    found = decided(due(ANSWERS, 1), {1: scored(1, ONE, 4)}, 0, NOON)
    [judgement] = found.judgements
    assert isinstance(judgement, e.JudgementRecorded)
    assert (judgement.batch_id, judgement.line, judgement.score, judgement.note) == (BATCH, 7, 4.0, "It is kind.")
    assert (judgement.judge, judgement.source) == ("judge@1#ab", JudgementSource.MODEL)
    assert judgement.reference == f"{JUDGE_BATCH}:1"
    assert found.tally == Tally(done_count=1, judged_count=1)


@pytest.mark.parametrize(
    ("first", "second", "vote", "is_inconsistent"),
    [
        ("first", "second", Vote.A, False),
        ("second", "first", Vote.B, False),
        ("tie", "tie", Vote.TIE, False),
        ("first", "first", Vote.TIE, True),
        ("second", "second", Vote.TIE, True),
        ("tie", "first", Vote.TIE, True),
    ],
)
def test_only_a_preference_that_both_orders_share_counts(first: str, second: str, vote: Vote, is_inconsistent: bool):
    lines = {1: preferred(1, [ONE, OTHER], first), 2: preferred(2, [OTHER, ONE], second)}
    found = decided(due(PAIRS, 1), lines, 0, NOON)
    [judgement] = found.judgements
    assert isinstance(judgement, e.AnswersCompared)
    assert (judgement.batch_id, judgement.other_batch_id, judgement.vote) == (BATCH, OTHER_BATCH, vote)
    assert found.tally == Tally(done_count=1, judged_count=1, inconsistent_count=int(is_inconsistent))


def test_the_vote_does_not_depend_on_which_answer_was_shown_first():
    lines = {1: preferred(1, [OTHER, ONE], "first"), 2: preferred(2, [ONE, OTHER], "second")}
    [judgement] = decided(due(PAIRS, 1), lines, 0, NOON).judgements
    assert isinstance(judgement, e.AnswersCompared)
    assert (judgement.batch_id, judgement.vote) == (BATCH, Vote.B)


def test_a_pair_with_one_verdict_has_none():
    found = decided(due(PAIRS, 1), {1: preferred(1, [ONE, OTHER], "first")}, 0, NOON)
    assert (found.judgements, found.tally) == ([], Tally(done_count=1, unanswered_count=1))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (replied(1, [ONE], '{"reason": "It is', "length"), NoVerdict.CUT),
        (replied(1, [ONE], "I would say 4 of 5."), NoVerdict.MALFORMED),
        (replied(1, [ONE], '{"reason": "good"}'), NoVerdict.MALFORMED),
        (replied(1, [ONE], '{"reason": "good", "better": "first"}'), NoVerdict.MALFORMED),
        (replied(1, [ONE], None), NoVerdict.MALFORMED),
        (scored(1, ONE, 6), NoVerdict.MALFORMED),
        (scored(1, ONE, "4"), NoVerdict.MALFORMED),
        (scored(1, ONE, 4.5), NoVerdict.MALFORMED),
        (preferred(1, [ONE, OTHER], "first"), NoVerdict.MALFORMED),
        (b"{", NoVerdict.MALFORMED),
        (
            output_line(
                JUDGE_BATCH,
                e.Outcome(
                    line=1,
                    custom_id=judge_custom_id([ONE]),
                    error=e.RequestError(code=RequestFault.REQUEST_TIMEOUT, message="This took too long."),
                ),
            ),
            NoVerdict.UNANSWERED,
        ),
    ],
)
def test_what_is_no_valid_verdict_is_counted_and_never_guessed(line: bytes, expected: NoVerdict):
    assert verdict_of(line, ANSWERS) is expected
    found = decided(due(ANSWERS, 1), {1: line}, 0, NOON)
    assert found.judgements == []
    assert getattr(found.tally, f"{expected}_count") == 1


REPLIES = st.lists(st.sampled_from(["first", "second", "tie", "nonsense", "missing"]), min_size=2, max_size=40).map(
    lambda replies: replies[: len(replies) // 2 * 2]
)


@given(REPLIES, st.integers(min_value=1, max_value=7))
def test_every_item_is_counted_once_however_it_is_cut_into_parts(replies: list[str], part: int):
    lines = {}
    for line, reply in enumerate(replies, 1):
        shown = [Target(BATCH, (line + 1) // 2), Target(OTHER_BATCH, (line + 1) // 2)][:: 1 if line % 2 else -1]
        if reply != "missing":
            lines[line] = preferred(line, shown, reply)
    count, tally, judgements = len(replies) // 2, Tally(), []
    while tally.done_count < count:
        found = decided(due(PAIRS, count, tally), lines, min(tally.done_count + part, count) - 1, NOON)
        judgements += found.judgements
        tally = found.tally
    whole = decided(due(PAIRS, count), lines, count - 1, NOON)
    assert (judgements, tally) == (whole.judgements, whole.tally)
    assert len({judgement.judgement_id for judgement in judgements}) == len(judgements) == tally.judged_count
    assert tally.judged_count + tally.unanswered_count + tally.cut_count + tally.malformed_count == count
    assert recorded(due(PAIRS, count), tally, NOON).done_count == count
