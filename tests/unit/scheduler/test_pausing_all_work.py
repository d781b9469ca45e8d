"""All work is paused and resumed: nothing starts, what runs finishes, and everybody is told why."""

from __future__ import annotations

import pytest

from tests.support.scheduling import World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.scheduler.core.forecast.forecast import explain, queue
from vbatch.scheduler.core.policy.density import DensityPolicy


@pytest.fixture
def world() -> World:
    world = World(DensityPolicy())
    world.model("small")
    world.runner()
    return world


def pause_all(world: World) -> None:
    world.fold(e.QueuePaused(by="local", reason="the device is needed", at=world.now))


def resume_all(world: World) -> None:
    world.fold(e.QueueResumed(by="local", at=world.now))


def dispatched(events: list[e.AnyEvent]) -> list[BatchId]:
    return [event.batch_id for event in events if isinstance(event, e.BatchDispatched)]


def test_nothing_starts_until_all_work_is_resumed(world: World):
    pause_all(world)
    world.running("a", 10)
    assert world.settle() == []
    resume_all(world)
    assert dispatched(world.settle()) == [batch_id("a")]


def test_a_batch_that_is_paused_itself_stays_so_when_all_work_is_resumed(world: World):
    world.pause(world.running("own", 10))
    world.running("other", 10)
    pause_all(world)
    resume_all(world)
    assert dispatched(world.settle()) == [batch_id("other")]


def test_a_dispatch_decided_before_the_pause_was_read_is_void(world: World):
    world.running("a", 10)
    (decided,) = world.decide_only()
    pause_all(world)
    world.fold(decided)
    assert not world.state.slices


def test_what_was_inside_an_engine_ends_its_batch(world: World):
    world.running("a", 10)
    (sent,) = world.settle()
    assert isinstance(sent, e.BatchDispatched)
    pause_all(world)
    world.finish(sent.slice_id)
    (ended,) = world.settle()
    assert isinstance(ended, e.BatchFinalizing) and ended.ending is e.Ending.COMPLETED


def test_every_slice_on_a_runner_is_held_and_by_the_newest_pause(world: World):
    batch = world.running("a", 10)
    world.settle()
    pause_all(world)
    held = world.state.pause_of(world.state.batches[batch])
    assert held == world.state.queue_pause_sequence > 0
    world.pause(batch)
    assert world.state.pause_of(world.state.batches[batch]) > held


def test_a_second_pause_changes_nothing(world: World):
    pause_all(world)
    first = world.state.queue_pause_sequence
    pause_all(world)
    assert world.state.queue_pause_sequence == first


def test_a_waiting_batch_is_told_who_it_waits_for_and_what_would_help(world: World):
    world.running("a", 10)
    pause_all(world)
    told = explain(world.state, world.policy, batch_id("a"), world.now)
    assert told is not None and told.batch.waits_for == "all work to be resumed: an administrator paused it"
    assert told.remedies == ("Resume all work: `vbatch resume --all`.",)
    (entry,) = queue(world.state, world.policy, world.now)
    assert entry.ends_at is None and not entry.is_paused


def test_dead_letters_that_are_settled_change_nothing_here(world: World):
    world.running("a", 10)
    world.fold(e.DeadLetterDropped(letter=1, subject="evt.batch.x.created", by="local", at=world.now))
    assert dispatched(world.settle()) == [batch_id("a")]
