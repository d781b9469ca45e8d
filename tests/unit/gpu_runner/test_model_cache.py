"""Which models make room for another."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from vbatch.contracts.ids import ModelId
from vbatch.gpu_runner.core.model_cache import CachedModel, DeviceBudget, Measure, Need, Step, make_space, residue_grows

GIB = 1 << 30
ROOM = DeviceBudget(free_bytes=0, host_free_bytes=64 * GIB, residents_max=8, sleepers_max=0)
WANTED = Need(4 * GIB)


def resident(name: str, gib: float | None, used_at: float, **more: bool) -> CachedModel:
    need = Need(None if gib is None else int(gib * GIB), residue_bytes=GIB, host_bytes=2 * GIB)
    return CachedModel(ModelId(name), need, used_at, **more)


def stop(name: str) -> Step:
    return Step(ModelId(name), Measure.STOP)


def sleep(name: str) -> Step:
    return Step(ModelId(name), Measure.SLEEP)


def test_where_there_is_room_all_stay():
    assert make_space(WANTED, [resident("a", 8, 1)], replace(ROOM, free_bytes=4 * GIB)) == []


def test_the_least_recently_used_goes_first_and_no_more_than_needed():
    loaded = [resident("new", 8, 3), resident("old", 2, 1), resident("middle", 3, 2)]
    assert make_space(WANTED, loaded, ROOM) == [stop("old"), stop("middle")]


def test_beside_a_model_of_unknown_size_stands_none():
    assert make_space(Need(None), [resident("a", 1, 1)], replace(ROOM, free_bytes=64 * GIB)) == [stop("a")]
    assert make_space(WANTED, [resident("a", None, 1)], replace(ROOM, free_bytes=64 * GIB)) == [stop("a")]


def test_no_more_are_loaded_than_allowed():
    assert make_space(WANTED, [resident("a", 1, 1)], replace(ROOM, free_bytes=64 * GIB, residents_max=1)) == [stop("a")]


def test_what_can_sleep_sleeps_and_keeps_its_residue():
    room = replace(ROOM, free_bytes=GIB, sleepers_max=2)
    assert make_space(WANTED, [resident("a", 8, 1, can_sleep=True)], room) == [sleep("a")]


def test_too_many_sleepers_make_the_oldest_go():
    room = replace(ROOM, sleepers_max=1)
    loaded = [resident("asleep", 8, 1, is_asleep=True), resident("awake", 8, 2, can_sleep=True)]
    assert make_space(WANTED, loaded, room) == [sleep("awake"), stop("asleep")]


def test_without_memory_for_its_weights_a_model_does_not_sleep():
    room = replace(ROOM, host_free_bytes=GIB, sleepers_max=2)
    assert make_space(WANTED, [resident("a", 8, 1, can_sleep=True)], room) == [stop("a")]


def test_a_sleeper_that_leaves_more_behind_than_at_first_is_noticed():
    assert not residue_grows(GIB, GIB + GIB // 20)
    assert residue_grows(GIB, GIB + GIB // 5)


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 20), st.floats(0, 100), st.booleans(), st.booleans()), max_size=6),
    st.integers(0, 20),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_room_is_made_or_nothing_is_left(
    loaded: list[tuple[float | None, float, bool, bool]], free_gib: int, residents_max: int, sleepers_max: int
):
    model_cache = [
        resident(str(number), gib, used_at, is_asleep=is_asleep, can_sleep=can_sleep)
        for number, (gib, used_at, is_asleep, can_sleep) in enumerate(loaded)
    ]
    steps = make_space(WANTED, model_cache, DeviceBudget(free_gib * GIB, 8 * GIB, residents_max, sleepers_max))
    stopped = {step.model for step in steps if step.measure is Measure.STOP}
    asleep = {step.model for step in steps if step.measure is Measure.SLEEP}
    left = [cached for cached in model_cache if cached.model not in stopped]
    assert sum(not candidate.is_asleep and candidate.model not in asleep for candidate in left) + 1 <= residents_max
    assert sum(candidate.is_asleep or candidate.model in asleep for candidate in left) <= sleepers_max
    assert all(cached.can_sleep and not cached.is_asleep for cached in model_cache if cached.model in asleep)
