from tests.unit.console.samples import entry
from vbatch.console.core import api_objects as api
from vbatch.console.core.bars import Axis
from vbatch.console.core.device_lanes import Change, lanes_of, tried_of, wanted_change
from vbatch.console.core.reading_objects import DevicePlan, Stay

AXIS = Axis(1_000, 2_000)


def queue(**ends: int) -> api.Queue:
    etas = {name: api.Eta(at - 10, at, at + 10, False) for name, at in ends.items()}
    return api.Queue(1_000, tuple(entry(name, eta=eta) for name, eta in etas.items()), api.Others(0, 0))


def test_a_load_is_a_gap_before_the_model_works():
    [lane] = lanes_of([DevicePlan("gpu0", (Stay("a", 1_000, 1_000, 1_500), Stay("b", 1_500, 1_600, 2_000)), 0)], AXIS)
    first, second = lane.bars
    assert (first.load_width, first.x, first.width) == (0.0, 0.0, 50.0)
    assert (second.load_x, second.load_width, second.x) == (50.0, 10.0, 60.0)
    assert lane.swap_count == 1 and "of loading" in second.words and first.has_label


def test_the_batch_that_is_asked_about_comes_first_with_what_changes():
    tried = tried_of(Change("b", 80), queue(a=1_100, b=1_900), queue(b=1_300, a=1_500), {"a": "Spring"})
    assert [(effect.name, effect.later_seconds) for effect in tried.effects] == [("b", -600), ("Spring", 400)]
    assert tried.effects[0].words == "10 min sooner" and tried.effects[1].words == "7 min later"


def test_a_change_of_moments_is_none():
    tried = tried_of(Change("a", 80), queue(a=1_100), queue(a=1_102), {})
    assert tried.effects[0].words == "as now"


def test_an_address_asks_for_a_priority_within_bounds_or_for_nothing():
    assert wanted_change({"try": "a", "priority": "900"}) == Change("a", 100)
    assert wanted_change({"try": "a", "priority": "-5"}) == Change("a", -5)
    for query in (
        {},
        {"try": "a"},
        {"priority": "5"},
        {"try": "a", "priority": "high"},
        {"try": "a", "priority": "9" * 9},
    ):
        assert wanted_change(query) is None
