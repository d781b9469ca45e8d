"""What is said of the agreement of judges: people with each other, a model with the people, few answers."""

from __future__ import annotations

import pytest

from tests.support.events import BATCH
from tests.unit.gateway.curation.judged import EVERYTHING, compared, said
from vbatch.contracts.curation import JudgementSource, Selection, Verdict, Vote
from vbatch.contracts.evaluations import EvaluationKind
from vbatch.gateway.core.curation.agreement_views import AgreementObject, agreement_view, sentence
from vbatch.gateway.core.curation.judgements import JudgementRecord

MODEL = "judge@1#ab"
GOOD, BAD = Verdict.GOOD, Verdict.BAD


def verdicts(judge: str, values: list[Verdict], first: int = 1, **what: object) -> list[JudgementRecord]:
    return [said(first + line, line, judge, verdict=value, **what) for line, value in enumerate(values, 1)]


def seen(*records: list[JudgementRecord], selection: Selection = EVERYTHING) -> AgreementObject:
    return agreement_view([record for some in records for record in some], selection)


def test_two_people_have_the_kappa_of_their_table():
    """20 both good, 15 both bad, 5 and 10 apart: the table of 50 proposals in "Cohen's kappa" (Wikipedia)."""
    anna = [GOOD] * 25 + [BAD] * 25
    ben = [GOOD] * 20 + [BAD] * 5 + [GOOD] * 10 + [BAD] * 15
    found = seen(verdicts("anna", anna), verdicts("ben", ben, 100))
    [figure] = found.people
    assert (figure.kind, figure.judges, figure.shared_count) == (EvaluationKind.ANSWERS, ["anna", "ben"], 50)
    assert figure.kappa == pytest.approx(0.4)
    assert figure.same_share == 0.7
    assert figure.sentence == "Not reliable: they disagree too often."
    assert found.models == found.pairs == []


def test_a_model_is_compared_with_what_people_say_together():
    values = [GOOD, BAD] * 15
    scores = [said(500 + line, line, MODEL, score=5.0 if value is GOOD else 1.0, source=JudgementSource.MODEL)
              for line, value in enumerate(values, 1)]  # fmt: skip
    people = [verdicts(judge, values, 100 * number) for number, judge in enumerate(("anna", "ben", "cleo"), 1)]
    wrong = verdicts("dan", [BAD if value is GOOD else GOOD for value in values], 900)
    [figure] = seen(scores, *people, wrong).models
    assert (figure.judges, figure.shared_count) == ([MODEL, "people"], 30)
    assert figure.alpha == pytest.approx(1)
    assert figure.sentence == "Reliable."


def test_votes_are_compared_apart_from_verdicts_and_in_any_order_of_a_pair():
    pairs = [compared(line, line, Vote.A if line % 2 else Vote.B, line + 100) for line in range(1, 31)]
    turned = [compared(line + 200, line + 100, Vote.B if line % 2 else Vote.A, line, "ben") for line in range(1, 31)]
    [figure] = seen(pairs, turned).people
    assert (figure.kind, figure.shared_count) == (EvaluationKind.PAIRS, 30)
    assert figure.kappa == pytest.approx(1)


def test_each_two_of_several_people_are_shown():
    values = [GOOD, BAD] * 10
    found = seen(*(verdicts(judge, values, 100 * number) for number, judge in enumerate("abc", 1)))
    assert [figure.judges for figure in found.people] == [["a", "b", "c"]]
    assert [figure.judges for figure in found.pairs] == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert found.people[0].kappa is None


def test_few_shared_answers_tell_nothing():
    [figure] = seen(verdicts("anna", [GOOD, BAD] * 4), verdicts("ben", [GOOD, BAD] * 4, 100)).people
    assert figure.sentence == "Too few to tell: 8 shared, 20 are needed."


def test_the_sentence_follows_the_bands():
    sentences = [sentence(20, alpha) for alpha in (1.0, 0.8, 0.7, 0.667, 0.5, -1.0)]
    assert [words.split()[0] for words in sentences] == ["Reliable.", "Reliable.", "Good", "Good", "Not", "Not"]
    assert sentence(20, None).startswith("All say the same")


def test_without_judgements_there_is_nothing_to_say():
    found = seen([])
    assert (found.batch_ids, found.people, found.models, found.pairs) == ([BATCH], [], [], [])
