"""A batch that cannot go on is ended with a reason; the others do not notice."""

from __future__ import annotations

from tests.support.events import NOON
from tests.support.scheduling import World
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded
from vbatch.scheduler.core.giving_up import end_of, forget, give_up


def record(subject: str) -> Recorded:
    return Recorded(9, subject, {}, b"no use", NOON)


def test_one_that_is_being_validated_fails_and_says_why():
    world = World()
    batch = world.created("a")
    world.state.given_up[batch] = "its record was refused"
    [event] = world.decide()
    assert isinstance(event, e.BatchRejected) and "its record was refused" in event.faults[0].message
    assert world.state.given_up == {} and batch not in world.state.batches


def test_one_that_runs_ends_with_what_it_has():
    world = World()
    world.model("small")
    batch = world.running("a", 3)
    world.state.given_up[batch] = "no"
    [event] = world.decide()
    assert isinstance(event, e.BatchFinalizing)
    assert (event.ending, event.never_ran_count) == (e.Ending.COMPLETED, 3)
    assert world.state.given_up == {} and batch not in world.state.batches


def test_one_that_is_unknown_since_its_creation_cannot_be_used_is_told_so():
    world = World()
    give_up(world.state, record("evt.batch.batch_x.created"), "no")
    [event] = world.decide()
    assert isinstance(event, e.BatchRejected) and event.batch_id == BatchId("batch_x")


def test_an_event_of_a_batch_that_is_over_changes_nothing():
    world = World()
    for subject in ("evt.batch.batch_x.chunk_completed", "evt.file.file-a.stored", "evt.runner.gpu0.lease"):
        give_up(world.state, record(subject), "no")
    assert world.state.given_up == {}


def test_one_whose_end_cannot_be_recorded_is_forgotten():
    world = World()
    batch = world.created("a")
    world.state.given_up[batch] = "no"
    forget(world.state, batch)
    assert world.decide() == []


def test_a_cancelled_one_stays_cancelled():
    world = World()
    batch = world.created("a")
    world.fold(e.BatchCancelRequested(batch_id=batch, at=NOON))
    event = end_of(batch, world.state.batches[batch], "no", NOON)
    assert isinstance(event, e.BatchFinalizing) and event.ending is e.Ending.CANCELLED
