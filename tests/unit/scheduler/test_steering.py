"""What a pause and a priority do to what runs next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.scheduling import World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.scheduler.core.decide import SHORT_SLICES_MAX
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.policy.policy import priority_weight


@pytest.fixture
def world() -> World:
    world = World(DensityPolicy())
    world.model("small")
    world.runner()
    return world


def sent_batches(events: list[e.AnyEvent]) -> list[BatchId]:
    return [event.batch_id for event in events if isinstance(event, e.BatchDispatched)]


def test_a_paused_batch_is_not_dispatched_until_it_is_resumed(world: World):
    world.pause(world.running("a", 10))
    assert world.settle() == []
    world.resume(batch_id("a"))
    assert sent_batches(world.settle()) == [batch_id("a")]


def test_another_batch_runs_in_the_place_of_a_paused_one(world: World):
    world.pause(world.running("short", 10))
    world.running("long", 400)
    assert set(sent_batches(world.settle())) == {batch_id("long")}


def test_a_batch_paused_while_its_file_is_checked_does_not_start(world: World):
    batch = world.created("a")
    world.pause(batch)
    world.validated(batch, 10)
    assert world.settle() == []


def test_a_dispatch_decided_before_the_pause_was_read_is_void(world: World):
    batch = world.running("a", 10)
    (decided,) = world.decide_only()
    world.pause(batch)
    world.fold(decided)
    assert not world.state.slices
    world.resume(batch)
    (again,) = world.settle()
    assert isinstance(again, e.BatchDispatched) and again.lines == tuple(range(1, 11))


def test_a_paused_batch_expires_like_any_other(world: World):
    world.pause(world.running("a", 10, window=timedelta(hours=1)))
    world.later(timedelta(hours=2))
    (ended,) = world.settle()
    assert isinstance(ended, e.BatchFinalizing) and ended.ending is e.Ending.EXPIRED


def test_a_paused_batch_can_be_cancelled(world: World):
    batch = world.running("a", 10)
    world.pause(batch)
    world.cancel(batch)
    (ended,) = world.settle()
    assert isinstance(ended, e.BatchFinalizing) and ended.ending is e.Ending.CANCELLED


def test_a_paused_batch_whose_last_lines_were_inside_completes(world: World):
    batch = world.running("a", 10)
    (sent,) = world.settle()
    assert isinstance(sent, e.BatchDispatched)
    world.pause(batch)
    world.finish(sent.slice_id)
    (ended,) = world.settle()
    assert isinstance(ended, e.BatchFinalizing) and ended.ending is e.Ending.COMPLETED


def test_a_batch_of_higher_priority_overtakes_a_shorter_one(world: World):
    world.running("short", 10)
    world.running("long", 1_000, priority=80)
    assert sent_batches(world.settle())[0] == batch_id("long")


def test_a_priority_changed_while_waiting_holds_from_the_next_slice_on(world: World):
    world.running("short", 10)
    world.prioritize(world.running("long", 1_000), 80)
    (first, *_) = world.settle()
    assert isinstance(first, e.BatchDispatched)
    assert (first.batch_id, "its priority 80 puts it first of 2" in first.reason) == (batch_id("long"), True)


def test_a_runner_full_of_short_slices_still_hears_a_recall():
    assert RunnerSettings.model_fields["orders_max"].default > SHORT_SLICES_MAX


def test_ten_more_weigh_twice_as_much_and_no_event_can_weigh_without_bounds():
    assert priority_weight(0) == 1.0
    assert priority_weight(10) == 2.0 * priority_weight(0) == 4.0 * priority_weight(-10)
    assert priority_weight(10**9) == priority_weight(100) == 1024.0
