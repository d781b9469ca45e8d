"""Too many flawed answers are told once, and pause the batch if its owner asked for that."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.scheduling import World
from vbatch.contracts import events as e
from vbatch.contracts.events import Flaw
from vbatch.contracts.ids import BatchId, SliceId
from vbatch.scheduler.core.quality import ANSWERS_MIN, ERROR_SHARE_MAX, ERRORS_OF_MIN


class FlawedWorld(World):
    """One batch of 200 requests on one runner."""

    def __init__(self, **pause_on: float) -> None:
        super().__init__()
        self.model("small")
        self.runner()
        self.batch_id: BatchId = self.created("a")
        batch = self.state.batches[self.batch_id]
        asked = {Flaw(name): share for name, share in pause_on.items()} or None
        batch.created = msgspec.structs.replace(batch.created, pause_on=asked)
        self.validated(self.batch_id, 200)
        self.settle()

    def answers(self, first: int, count: int, *flaws: Flaw) -> list[e.AnyEvent]:
        """So many answers with these flaws, and what is recorded because of them besides slices."""
        sent = self.state.slices[SliceId("s-1")].event
        chunk = self.chunk(sent, tuple(range(first, first + count)))
        outcomes = tuple(msgspec.structs.replace(outcome, flaws=flaws) for outcome in chunk.outcomes)
        self.fold(msgspec.structs.replace(chunk, outcomes=outcomes))
        return [event for event in self.settle() if not isinstance(event, e.BatchDispatched)]


def told(world: FlawedWorld, flaw: Flaw, count: int, answers: int, share_max: float) -> e.BatchQualityDropped:
    return e.BatchQualityDropped(
        batch_id=world.batch_id, flaw=flaw, count=count, answers=answers, share_max=share_max, at=world.now
    )


@pytest.mark.parametrize("flaw", [Flaw.EMPTY, Flaw.NOT_JSON, Flaw.REFUSED, Flaw.REPEATING])
def test_half_of_the_answers_with_a_flaw_are_told_once(flaw: Flaw):
    world = FlawedWorld()
    assert world.answers(1, ANSWERS_MIN - 1, flaw) == []
    assert world.answers(ANSWERS_MIN, 1) == [told(world, flaw, ANSWERS_MIN - 1, ANSWERS_MIN, 0.5)]
    assert world.answers(ANSWERS_MIN + 1, 5, flaw) == []


def test_few_flaws_are_no_news():
    world = FlawedWorld()
    assert world.answers(1, 9, Flaw.EMPTY) == [] and world.answers(10, 11) == []


def test_cut_answers_are_told_only_where_the_owner_gave_a_threshold():
    assert FlawedWorld().answers(1, 40, Flaw.CUT) == []
    world = FlawedWorld(cut=0.9)
    paused, dropped = world.answers(1, 40, Flaw.CUT)
    assert isinstance(paused, e.BatchPaused) and dropped == told(world, Flaw.CUT, 40, 40, 0.9)


def test_a_batch_is_paused_at_its_own_threshold_and_stays_resumed_once_its_owner_resumes_it():
    world = FlawedWorld(not_json=0.1)
    assert world.answers(1, 36) == []
    assert world.answers(37, 4, Flaw.NOT_JSON) == [
        e.BatchPaused(batch_id=world.batch_id, at=world.now),
        told(world, Flaw.NOT_JSON, 4, 40, 0.1),
    ]
    assert world.state.batches[world.batch_id].is_paused
    world.resume(world.batch_id)
    assert world.answers(41, 10, Flaw.NOT_JSON) == []


def test_a_pause_whose_reason_was_not_recorded_is_explained_by_the_next_scheduler():
    world = FlawedWorld(empty=0.5)
    world.fold(e.BatchPaused(batch_id=world.batch_id, at=world.now))
    assert world.answers(1, 30, Flaw.EMPTY) == [told(world, Flaw.EMPTY, 30, 30, 0.5)]


def test_two_flaws_pause_once():
    world = FlawedWorld(empty=0.5, cut=0.5)
    kinds = [type(event) for event in world.answers(1, 30, Flaw.EMPTY, Flaw.CUT)]
    assert kinds == [e.BatchPaused, e.BatchQualityDropped, e.BatchQualityDropped]


class FailingWorld(FlawedWorld):
    def outcomes(self, first: int, count: int, failed: int) -> list[e.AnyEvent]:
        """So many outcomes, the first `failed` of them errors, and what is recorded because of them besides slices."""
        sent, lines = self.state.slices[SliceId("s-1")].event, range(first, first + count)
        self.fold(self.chunk(sent, tuple(lines[:failed]), status_code=500))
        self.fold(self.chunk(sent, tuple(lines[failed:])))
        return [event for event in self.settle() if not isinstance(event, e.BatchDispatched)]


def exceeded(world: FlawedWorld, failed: int, answered: int) -> e.BatchErrorShareExceeded:
    return e.BatchErrorShareExceeded(
        batch_id=world.batch_id, failed=failed, answered=answered, share_max=ERROR_SHARE_MAX, at=world.now
    )


def test_more_than_one_error_in_twenty_is_told_once_there_are_enough_outcomes():
    world = FailingWorld()
    assert world.outcomes(1, ERRORS_OF_MIN - 1, 50) == []
    assert world.outcomes(ERRORS_OF_MIN, 1, 0) == [exceeded(world, 50, ERRORS_OF_MIN)]
    assert world.outcomes(ERRORS_OF_MIN + 1, 20, 20) == []


def test_one_error_in_twenty_is_no_news_and_one_more_is():
    world = FailingWorld()
    assert world.outcomes(1, 100, 5) == []
    assert world.outcomes(101, 1, 1) == [exceeded(world, 6, 101)]
