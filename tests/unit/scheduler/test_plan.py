"""Where requests stand and when they run are two things."""

from __future__ import annotations

from array import array
from datetime import timedelta

from tests.support.scheduling import World, plan_of
from vbatch.contracts import events as e
from vbatch.scheduler.core.planning.plan import packed, unpacked


def test_a_plan_runs_in_file_order_until_it_is_arranged():
    assert list(plan_of(3).order) == [1, 2, 3]


def test_an_arranged_plan_still_finds_its_lines():
    plan = plan_of(3)
    plan.arrange([2, 0, 1])
    assert (list(plan.order), list(plan.lines), plan.last_line) == ([3, 1, 2], [1, 2, 3], 3)
    assert [ref.offset for ref in plan.refs(plan.order)] == [300, 100, 200]


def test_slices_take_consecutive_stretches_of_the_order():
    world = World()
    world.model("small")
    batch = world.running("a", count=600)
    backwards = list(reversed(range(600)))
    world.plans[batch].arrange(backwards)
    world.runner()
    world.later(timedelta(seconds=1))
    sent = [event for event in world.settle() if isinstance(event, e.BatchDispatched)]
    lines = [line for event in sent for line in event.lines]
    assert len(sent) == 2
    assert lines == [index + 1 for index in backwards[: len(lines)]]


def test_a_packed_plan_is_the_same_plan_its_groups_included():
    plan = plan_of(4)
    plan.arrange([2, 0, 1, 3], array("I", [7, 0, 7, 5]))
    assert unpacked(packed(plan)) == plan
    assert list(unpacked(packed(plan)).in_group(7)) == [1, 3]
