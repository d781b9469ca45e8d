"""Each judge has one say about an answer, and the majority decides."""

from __future__ import annotations

from msgspec.structs import replace

from tests.support.events import BATCH
from tests.unit.gateway.curation.judged import EVERYTHING, OTHER_BATCH, compared, said
from vbatch.contracts.curation import JudgementSource, Verdict, Vote
from vbatch.gateway.core.curation.consensus import answers_judged, pairs_compared
from vbatch.gateway.core.curation.judgements import AnswerKey

GOOD, BAD, UNSURE = Verdict.GOOD, Verdict.BAD, Verdict.UNSURE


def test_the_newest_word_of_a_judge_counts():
    [one] = answers_judged([said(1, 1, verdict=BAD), said(2, 1, verdict=GOOD)], EVERYTHING)
    assert (one.verdict, one.judges, one.sequences) == (GOOD, ("anna",), (2,))


def test_a_later_edit_does_not_take_the_verdict_away():
    [one] = answers_judged([said(1, 1, verdict=BAD, tags=("rude",)), said(2, 1, edited="Dear Bob")], EVERYTHING)
    assert (one.verdict, one.tags, one.edited) == (BAD, ("rude",), "Dear Bob")


def test_the_majority_decides_and_a_draw_is_unsure():
    two = [said(1, 1, "anna", verdict=GOOD), said(2, 1, "ben", verdict=BAD)]
    assert answers_judged(two, EVERYTHING)[0].verdict is UNSURE
    assert answers_judged([*two, said(3, 1, "eve", verdict=GOOD)], EVERYTHING)[0].verdict is GOOD


def test_a_score_stands_for_a_verdict_where_none_was_given():
    scores = {1: 5.0, 2: 1.0, 3: 3.0}
    found = answers_judged([said(line, line, score=score) for line, score in scores.items()], EVERYTHING)
    assert [one.verdict for one in found] == [GOOD, BAD, UNSURE]
    [stated] = answers_judged([said(1, 1, score=5.0, verdict=BAD)], EVERYTHING)
    assert stated.verdict is BAD


def test_the_score_is_the_mean_of_the_judges():
    [one] = answers_judged([said(1, 1, "anna", score=2.0), said(2, 1, "ben", score=5.0)], EVERYTHING)
    assert one.score == 3.5


def test_only_the_selected_judges_and_sources_count():
    records = [
        said(1, 1, "anna", verdict=GOOD),
        said(2, 1, "model", verdict=BAD, source=JudgementSource.MODEL),
    ]
    assert answers_judged(records, replace(EVERYTHING, judges=("model",)))[0].verdict is BAD
    assert answers_judged(records, replace(EVERYTHING, sources=(JudgementSource.API,)))[0].verdict is GOOD


def test_answers_come_by_batch_and_line():
    records = [said(1, 9, verdict=GOOD, batch_id=OTHER_BATCH), said(2, 9, verdict=GOOD), said(3, 2, verdict=GOOD)]
    found = [one.answer for one in answers_judged(records, EVERYTHING)]
    assert found == [AnswerKey(BATCH, 2), AnswerKey(BATCH, 9), AnswerKey(OTHER_BATCH, 9)]


def test_a_pair_is_the_same_whichever_side_was_shown_first():
    [pair] = pairs_compared([compared(1, 1, Vote.A, 2, "anna"), compared(2, 2, Vote.B, 1, "ben")], EVERYTHING)
    assert (pair.a.line, pair.b.line, pair.vote, pair.judges) == (1, 2, Vote.A, ("anna", "ben"))


def test_judges_who_disagree_on_a_pair_make_a_tie():
    [pair] = pairs_compared([compared(1, 1, Vote.A, 2, "anna"), compared(2, 1, Vote.B, 2, "ben")], EVERYTHING)
    assert pair.vote is Vote.TIE
