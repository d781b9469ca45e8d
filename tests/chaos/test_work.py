"""What a loss may have cost is told from the engines' own notes."""

from __future__ import annotations

from tests.chaos.verdict import Place
from tests.chaos.work import LAST_SECONDS, Done, bound_of, work_of
from vbatch.contracts.ids import BatchId

BATCH = BatchId("batch_a")


def began(at: float, digest: str, inside: int = 1) -> Done:
    return Done(at, False, digest, inside)


def answered(at: float, digest: str, inside: int = 0) -> Done:
    return Done(at, True, digest, inside)


def test_what_ran_again_is_put_to_the_account_of_the_loss_between():
    done = [began(1.0, "a"), began(1.1, "b"), began(3.0, "a"), began(9.0, "c")]
    [loss] = work_of(done, [2.0, 8.0], places={}, answered_at={}).losses
    assert (loss.at, loss.redone) == (2.0, 1)


def test_what_ran_again_without_a_loss_is_a_fault():
    found = work_of([began(1.0, "a"), began(2.0, "a")], [], places={}, answered_at={})
    assert list(found.faults()) == ["1 requests were run again, and nothing was lost"]


def test_what_was_started_behind_its_outcome_is_a_fault():
    places: dict[str, Place] = {"a": (BATCH, 1)}
    found = work_of([began(2.0, "a")], [], places=places, answered_at={(BATCH, 1): 1.0})
    [fault] = found.faults()
    assert fault.startswith("a request was started after its outcome was in the log: ('batch_a', 1), 1.000 s after it")


def test_a_loss_may_cost_what_was_inside_and_what_was_answered_within_one_flush():
    done = [began(10.0, "a", inside=40), *(answered(10.0 + n / 100, f"b{n}") for n in range(200))]
    assert bound_of(done, 13.0) == 40 + 76, "0.5 s until the chunk is closed, 0.25 s until it is stored"


def test_without_the_log_a_runner_goes_on_as_long_as_it_believes_in_its_lease():
    done = [answered(10.0 + n / 100, f"b{n}") for n in range(200)]
    assert bound_of(done, 13.0, [(9.0, 14.0)]) == 151


def test_what_was_answered_when_the_log_went_away_is_held_until_it_is_back():
    done = [answered(10.0 + n / 100, f"b{n}") for n in range(100)]
    assert bound_of([*done, began(17.0, "c", inside=3)], 18.0, [(9.5, 19.0)]) == 103


def test_what_was_inside_long_before_the_loss_does_not_count():
    done = [began(1.0, "a", inside=190), began(2.0 + LAST_SECONDS + 1.0, "b", inside=3)]
    assert bound_of(done, 13.0) == 3


def test_a_loss_that_cost_more_than_it_may_is_a_fault():
    done = [*(began(n / 10, f"a{n}") for n in range(9)), *(began(2 + n / 10, f"a{n}") for n in range(9))]
    [fault] = work_of(done, [1.5], places={}, answered_at={}).faults()
    assert fault == "9 requests were run again for the loss at 1.5, and 1 may be"
