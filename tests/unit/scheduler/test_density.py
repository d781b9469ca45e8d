"""The policy that keeps deadlines and spares swaps: which batch it takes, and why it says so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from tests.support.scheduling import World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.durations import rough_duration
from vbatch.contracts.ids import ModelId, OwnerId
from vbatch.scheduler.core.decide import SLICE_REQUESTS_MIN
from vbatch.scheduler.core.policy.deadline_guard import may_come_first, protected, slacks
from vbatch.scheduler.core.policy.density import DensityPolicy, Tuning
from vbatch.scheduler.core.policy.policy import Candidate, Choice, View

HOUR, DAY = 3600.0, 86400.0
SWAP = 48.0
LONG_RESIDENT = 10_000.0


def candidate(name: str, work: float, model: str = "small", *, due: float = DAY, arrived: float = 0.0) -> Candidate:
    return Candidate(
        batch_id=batch_id(name),
        model=ModelId(model),
        owner=OwnerId("local"),
        sequence=1,
        work=work,
        error=0.0,
        arrived=arrived,
        due=due,
        has_run=False,
    )


def view(*candidates: Candidate, loaded: str | None = None, resident: float = 0.0, now: float = 0.0) -> View:
    model = ModelId(loaded) if loaded else None
    return View(now=now, candidates=candidates, loaded=model, resident=resident, swap_default=SWAP)


def choose(seen: View) -> Choice:
    choice = DensityPolicy()(seen)
    assert choice is not None
    return choice


def chosen(seen: View) -> str:
    return choose(seen).batch_id.removeprefix("batch_")


def test_nothing_to_run_is_no_choice():
    assert DensityPolicy()(view()) is None


def test_inside_a_model_the_shortest_batch_comes_first():
    assert chosen(view(candidate("long", 5_000), candidate("short", 10), loaded="small")) == "short"


def test_an_owner_with_little_service_comes_before_a_somewhat_shorter_batch():
    neglected = replace(candidate("neglected", 20), weight=4.0)
    assert chosen(view(candidate("short", 10), neglected, loaded="small")) == "neglected"


def test_age_lets_a_long_batch_pass_new_short_ones_in_the_end():
    old = replace(candidate("old", 300, due=30 * DAY), has_run=True)
    for hours, first in ((0, "new"), (100, "old")):
        new = candidate("new", 100, arrived=hours * HOUR, due=40 * DAY)
        assert chosen(view(old, new, loaded="small", now=hours * HOUR)) == first


def test_the_loaded_model_is_not_left_before_it_paid_for_its_loading():
    waiting = (candidate("here", 5_000), candidate("there", 1, "large"))
    assert chosen(view(*waiting, loaded="small", resident=10)) == "here"
    assert chosen(view(*waiting, loaded="small", resident=LONG_RESIDENT)) == "there"


def test_a_model_is_not_left_for_a_gain_the_swaps_eat_up():
    waiting = (candidate("here", 120), candidate("there", 60, "large"))
    assert chosen(view(*waiting, loaded="small", resident=LONG_RESIDENT)) == "here"


def test_with_nothing_on_the_device_the_model_that_finishes_most_comes_first():
    many = [candidate(f"few{number}", 100, "large") for number in range(5)]
    assert choose(view(candidate("one", 90), *many)).reason.startswith(
        "the device is empty, and large finishes the most batches"
    )


def test_a_batch_about_to_be_late_comes_first_even_at_the_price_of_a_swap():
    urgent = candidate("urgent", 1_000, "large", due=1_300)
    choice = choose(view(candidate("short", 10), urgent, loaded="small", resident=10))
    assert (choice.batch_id, "would be late" in choice.reason) == (urgent.batch_id, True)


def test_a_batch_that_is_late_anyway_takes_no_others_deadline():
    lost = candidate("lost", 5_000, due=1_000)
    savable = candidate("savable", 900, due=1_100)
    assert chosen(view(lost, savable, loaded="small")) == "savable"


def test_urgent_work_of_the_loaded_model_goes_on_while_the_others_survive_it():
    here = candidate("here", 400, due=1_000)
    there = candidate("there", 100, "large", due=900)
    assert chosen(view(here, there, loaded="small")) == "here"


def test_a_batch_unserved_for_nearly_a_quarter_of_its_window_goes_before_a_later_one_for_first_answers():
    starved = candidate("starved", 20_000, due=DAY)
    new = candidate("new", 10, arrived=5 * HOUR, due=5 * HOUR + DAY)
    choice = choose(view(starved, new, loaded="small", now=6 * HOUR - 200))
    assert (choice.batch_id, choice.is_brief, "has waited 5 h 57 min" in choice.reason) == (
        starved.batch_id,
        True,
        True,
    )
    fed = replace(starved, has_run=True)
    assert chosen(view(fed, new, loaded="small", now=6 * HOUR - 200)) == "new"


def test_of_two_batches_past_their_promise_the_older_is_served_first():
    older, younger = candidate("older", 5_000), candidate("younger", 5_000, arrived=HOUR, due=2 * HOUR)
    new = candidate("new", 10, arrived=7 * HOUR, due=7 * HOUR + DAY)
    assert chosen(view(older, younger, new, loaded="small", now=7 * HOUR)) == "older"


def test_first_answers_are_fetched_in_time_from_every_model_that_owes_some():
    models = [candidate(f"there{number}", 5_000, f"m{number}", due=HOUR) for number in range(6)]
    new = candidate("new", 10, arrived=100.0, due=DAY)
    assert chosen(view(new, *models, loaded="small", now=160)) == "there0"
    assert chosen(view(new, models[0], loaded="small", now=160)) == "new"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (
            view(candidate("a", 600), loaded="small"),
            "its model is on the device; it is the only batch for its model, with about 10 min of work left",
        ),
        (
            view(candidate("a", 60), candidate("b", 600), candidate("c", 600, "large"), loaded="small"),
            "its model is on the device; it is the shortest of 2 batches for its model, with about 60 s of work left; "
            "1 other batch waits for other models",
        ),
        (
            view(candidate("a", 60, "large"), loaded="small"),
            "no batch waits for small; it is the only batch for its model, with about 60 s of work left",
        ),
        (
            view(candidate("a", 9_000), candidate("b", 30, "large"), loaded="small", resident=LONG_RESIDENT),
            "1 batch for large can end soon, which is worth leaving small despite 96 s of swapping; "
            "it is the only batch for its model, with about 30 s of work left",
        ),
        (
            view(candidate("a", 3_000, due=3_200), loaded="small"),
            "it must end within 53 min and needs about 50 min: it would be late if it waited longer",
        ),
    ],
)
def test_the_reason_is_a_sentence_one_can_act_on(seen: View, reason: str):
    assert choose(seen).reason == reason


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "1 s"), (90, "90 s"), (150, "2 min"), (3600, "1 h"), (5400, "1 h 30 min"), (3 * DAY, "3 days")],
)
def test_spans_are_said_as_one_would(seconds: float, said: str):
    assert rough_duration(seconds) == said


candidates = st.builds(
    candidate,
    st.uuids().map(str),
    st.floats(0.1, 20_000),
    st.sampled_from(["small", "large", "other"]),
    due=st.floats(-HOUR, DAY),
    arrived=st.floats(-DAY, -HOUR),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(candidates, min_size=1, max_size=12), st.sampled_from(["small", "large", "gone", None]))
def test_what_is_protected_can_all_keep_its_deadlines_and_some_batch_is_always_chosen(waiting, loaded):
    seen = view(*waiting, loaded=loaded)
    kept = protected(seen)
    assert slacks(seen, kept).least > -1e-6
    assert [candidate.due for candidate in kept] == sorted(candidate.due for candidate in kept)
    assert choose(seen).batch_id in {candidate.batch_id for candidate in waiting}


@settings(max_examples=100, deadline=None)
@given(st.lists(candidates, min_size=2, max_size=12))
def test_the_order_in_which_batches_are_told_changes_nothing(waiting):
    numbered = [replace(it, sequence=number) for number, it in enumerate(waiting)]
    assert DensityPolicy()(view(*numbered)) == DensityPolicy()(view(*reversed(numbered)))


def test_estimates_in_doubt_are_given_more_room_and_many_doubts_even_out():
    sure, unsure = candidate("a", 100), replace(candidate("b", 100), error=0.3)
    for together, seconds in (((sure,), 100), ((unsure,), 130), ((unsure,) * 4, 460)):
        assert slacks(view(*together, loaded="small"), together).least == pytest.approx(DAY - seconds)


def test_among_batches_that_must_run_now_the_shortest_goes_first_where_no_other_is_late_for_it():
    soon, short, long = (
        candidate("soon", 900, due=1_000),
        candidate("short", 50, due=1_100),
        candidate("long", 500, due=1_500),
    )
    seen = view(soon, short, long, loaded="small")
    known = slacks(seen, protected(seen))
    assert [candidate.batch_id for candidate in may_come_first(seen, known)] == [soon.batch_id, short.batch_id]
    assert chosen(seen) == "short"


def test_parts_can_be_left_out_for_a_study():
    urgent = candidate("urgent", 1_000, "large", due=1_300)
    seen = view(candidate("short", 10), urgent, loaded="small", resident=10)
    choice = DensityPolicy(Tuning(has_guard=False))(seen)
    assert choice is not None and choice.batch_id == batch_id("short")


def test_a_batch_of_twenty_behind_a_million_of_the_same_model_is_served_with_the_next_slice():
    world = World(DensityPolicy())
    world.model("small")
    world.running("million", 1_000_000)
    world.runner()
    first = [event for event in world.settle() if isinstance(event, e.BatchDispatched)]
    assert {candidate.batch_id for candidate in first} == {batch_id("million")}
    world.running("twenty", 20)
    world.finish(first[0].slice_id)
    (following,) = world.settle()
    assert isinstance(following, e.BatchDispatched)
    assert (following.batch_id, len(following.lines)) == (batch_id("twenty"), 20)


def test_a_choice_for_first_answers_only_sends_the_shortest_slice():
    world = World(lambda seen: Choice(seen.candidates[0].batch_id, "", is_brief=True) if seen.candidates else None)
    world.model("small")
    world.running("a", 1_000)
    world.runner()
    sent = world.settle()[0]
    assert isinstance(sent, e.BatchDispatched)
    assert len(sent.lines) == SLICE_REQUESTS_MIN
