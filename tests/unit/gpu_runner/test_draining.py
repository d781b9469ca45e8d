"""What a runner makes of an administrator's requests, in whatever order its process and they come."""

from __future__ import annotations

import pytest

from tests.support.events import NOON, RUNNER
from tests.unit.gpu_runner.test_feed import order, requests_of
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.orders import LoadModel
from vbatch.gpu_runner.core.draining import Drain
from vbatch.gpu_runner.core.feed import Feed

EPOCH = 10


def request(goal: e.DrainGoal) -> e.RunnerDrainRequested:
    return e.RunnerDrainRequested(runner_id=RUNNER, goal=goal, by="local", at=NOON)


def drained(*told: tuple[e.AnyEvent, int]) -> Drain:
    drain = Drain(epoch=EPOCH)
    for event, sequence in told:
        drain.evolve(event, sequence)
    return drain


RESUMED = e.RunnerResumed(runner_id=RUNNER, by="local", at=NOON)


@pytest.mark.parametrize("goal", [e.DrainGoal.KEEP, e.DrainGoal.UNLOAD])
def test_a_drain_that_came_before_this_process_is_in_force(goal: e.DrainGoal):
    drain = drained((request(goal), EPOCH - 1))
    assert (drain.is_active, drain.is_due, drain.frees_device) == (True, True, goal is e.DrainGoal.UNLOAD)


def test_a_restart_that_was_requested_before_this_process_has_happened():
    drain = drained((request(e.DrainGoal.UNLOAD), 3), (request(e.DrainGoal.RESTART), 4))
    assert not drain.is_active


def test_a_restart_that_is_requested_now_is_due():
    drain = drained((request(e.DrainGoal.RESTART), EPOCH + 1))
    assert (drain.is_due, drain.goal) == (True, e.DrainGoal.RESTART)


def test_a_resumed_runner_works():
    drain = drained((request(e.DrainGoal.UNLOAD), 11), (RESUMED, 12))
    assert (drain.is_active, drain.is_due, drain.frees_device) == (False, False, False)


def test_each_request_is_obeyed_once():
    drain = drained((request(e.DrainGoal.KEEP), 11))
    drain.done = 11
    assert not drain.is_due
    drain.evolve(request(e.DrainGoal.UNLOAD), 12)
    assert drain.is_due


def test_a_feed_that_gives_up_everything_keeps_what_is_inside():
    feed = Feed()
    for name in ("a", "b"):
        given = order(name, lines=3)
        feed.open(given, 0.0)
        feed.put(given.slice_id, requests_of(given))
    first = feed.take()
    feed.open_load(LoadModel(epoch=EPOCH, model=ModelId("other"), demand=1, stay_seconds=1.0), 0.0)
    assert first is not None
    given_up = {remainder.order.slice_id: remainder.lines for remainder in feed.pause_all()}
    assert sorted(len(lines) for lines in given_up.values()) == [2, 3]
    assert (feed.slice_count, feed.inside_count, feed.waiting_count, feed.model_next) == (1, 1, 0, None)
    assert feed.take() is None
    assert feed.finish(first) and feed.slice_count == 0
