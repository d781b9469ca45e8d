"""What a form says of an answer, how votes are counted, and which data set is asked for."""

from __future__ import annotations

import pytest

from vbatch.console.core.curation_objects import Judgement
from vbatch.console.core.judging import Standing, judgement_body, standing, vote_body
from vbatch.console.core.new_batch import Misfilled, create_body
from vbatch.console.core.new_dataset import dataset_body
from vbatch.console.core.voting import Tally, is_swapped, lines_voted, tally_of, verdict_words, vote_of, wilson
from vbatch.contracts.curation import Verdict, Vote

PAIR = ("batch_a", "batch_b")
TAGS = ["too long", "wrong tone"]
NAMES = ("model-a", "model-b")


def vote(line: int, said: Vote, *, judge: str = "local", sequence: int = 1, pair: tuple[str, str] = PAIR) -> Judgement:
    return Judgement(
        id=f"j{sequence}",
        sequence=sequence,
        batch_id=pair[0],
        line=line,
        judge=judge,
        source="console",
        created_at=1,
        other_batch_id=pair[1],
        other_line=line,
        vote=said,
    )


def verdict(sequence: int, said: Verdict | None, *, judge: str = "local", score: float | None = None) -> Judgement:
    return Judgement(f"j{sequence}", sequence, "batch_a", 1, judge, "console", 1, verdict=said, score=score)


def test_a_verdict_becomes_a_judgement_of_the_console():
    assert judgement_body("batch_a", 7, {"verdict": "good", "csrf": "x"}) == {
        "judgements": [{"batch_id": "batch_a", "line": 7, "verdict": "good"}],
        "source": "console",
    }


def test_everything_that_is_said_is_in_one_judgement():
    fields = {"score": "4", "tags": " too long, wrong tone,too long ", "note": " hm ", "edited": "B", "original": "A"}
    assert judgement_body("batch_a", 7, fields)["judgements"] == [
        {
            "batch_id": "batch_a",
            "line": 7,
            "score": 4.0,
            "tags": ["too long", "wrong tone"],
            "note": "hm",
            "edited": "B",
        }
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Nothing is said"),
        ({"edited": "a\r\nb", "original": "a\nb"}, "Nothing is said"),
        ({"score": "6"}, "from 1 to 5"),
        ({"score": "nan"}, "from 1 to 5"),
        ({"tags": ",".join(map(str, range(17)))}, "at most 16"),
    ],
)
def test_a_judgement_that_says_nothing_or_too_much_is_refused(fields: dict[str, str], words: str):
    with pytest.raises(Misfilled, match=words):
        judgement_body("batch_a", 1, fields)


def test_of_one_judge_the_newest_of_each_kind_counts():
    said = [verdict(3, Verdict.BAD), verdict(5, Verdict.GOOD, judge="other"), verdict(1, Verdict.GOOD, score=2.0)]
    assert standing(said, "local") == Standing(Verdict.BAD, 2.0, None)


def test_a_choice_is_a_vote_for_the_batch_that_stood_there():
    assert [vote_of("left", swapped=swapped) for swapped in (False, True)] == [Vote.A, Vote.B]
    assert [vote_of("right", swapped=swapped) for swapped in (False, True)] == [Vote.B, Vote.A]
    assert vote_of("tie", swapped=True) is Vote.TIE


def test_sides_are_drawn_and_stay():
    drawn = [is_swapped(PAIR, line) for line in range(1, 201)]
    assert drawn == [is_swapped(PAIR, line) for line in range(1, 201)] and 60 < sum(drawn) < 140


def test_votes_count_once_a_judge_and_in_either_order():
    votes = [
        vote(1, Vote.A, sequence=1),
        vote(1, Vote.B, sequence=2),
        vote(1, Vote.A, judge="other", sequence=3),
        vote(2, Vote.A, sequence=4, pair=("batch_b", "batch_a")),
        vote(3, Vote.TIE, sequence=5),
        vote(4, Vote.A, sequence=6, pair=("batch_a", "batch_c")),
    ]
    assert tally_of(votes, PAIR) == Tally(first=1, second=2, ties=1)
    assert lines_voted(votes, PAIR, "local") == {1, 2, 3}


def test_a_vote_names_both_answers():
    assert vote_body(PAIR, 7, "a")["judgements"] == [
        {"batch_id": "batch_a", "line": 7, "other_batch_id": "batch_b", "other_line": 7, "vote": "a"}
    ]


def test_the_interval_is_that_of_wilson():
    interval = wilson(8, 10)
    assert interval is not None and (round(interval.low, 4), round(interval.high, 4)) == (0.4902, 0.9433)
    assert wilson(0, 0) is None


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        (Tally(), "There are no votes"),
        (Tally(29, 0, 9), "29 of 30"),
        (Tally(30, 5), "model-a is better"),
        (Tally(5, 30), "model-b is better"),
        (Tally(18, 16), "do not tell them apart"),
    ],
)
def test_a_winner_is_named_only_where_votes_name_one(tally: Tally, words: str):
    assert words in verdict_words(tally, NAMES)


def test_a_data_set_is_asked_for_with_its_splits():
    assert dataset_body({"name": "support", "test": "10"}, ["batch_a"]) == {
        "name": "support",
        "batch_ids": ["batch_a"],
        "test_share": 0.1,
        "validation_share": 0.0,
    }


@pytest.mark.parametrize(
    ("fields", "batches"),
    [({"name": "Support"}, ["b"]), ({"name": "s"}, []), ({"name": "s", "test": "51"}, ["b"])],
)
def test_a_data_set_that_cannot_be_made_says_why(fields: dict[str, str], batches: list[str]):
    with pytest.raises(Misfilled):
        dataset_body(fields, batches)


def test_a_batch_may_run_on_several_models_and_pause_by_itself():
    fields = {"file_id": "file-1", "idempotency_key": "k", "pause_on_empty": "25", "pause_on_cut": ""}
    ask = create_body(fields, ["model-a", "model-b"])
    assert (ask["models"], ask["pause_on"]) == (["model-a", "model-b"], {"empty": 0.25})
    with pytest.raises(Misfilled, match="percent"):
        create_body(fields | {"pause_on_empty": "0"})
