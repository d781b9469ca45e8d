"""What the scheduler learns from the log about how long things take."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.scheduling import RUNNER, World, batch_id
from vbatch.contracts import events as e
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import ModelId, OwnerId
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.core.policy.policy import Candidate, Policy, stay_then_oldest
from vbatch.scheduler.core.policy.view import backlog, view_of
from vbatch.scheduler.core.state.cost_model import SWAP_SECONDS_UNKNOWN, UNITS_A_SECOND_UNKNOWN, CostModel, Service
from vbatch.scheduler.settings import SchedulerSettings
from vbatch.scheduler.wiring import POLICIES

SMALL = ModelId("small")
TOKENS = e.Usage(input_tokens=84, output_tokens=200)
"""With the request itself: 500 units."""


@pytest.fixture
def world() -> World:
    world = World(DensityPolicy())
    world.model("small")
    world.model("large")
    world.runner()
    return world


def loaded(world: World, seconds: float, model: str = "small") -> None:
    event = e.ModelLoaded(runner_id=RUNNER, epoch=1, model=ModelId(model), seconds=seconds, window=128, at=world.now)
    world.fold(event)


def answer(world: World, seconds: float, count: int, usage: e.Usage = TOKENS) -> None:
    """So many requests of the oldest slice end after so many seconds, in one chunk."""
    world.later(timedelta(seconds=seconds))
    it = next(iter(world.state.slices.values()))
    lines = tuple(it.lines)[:count]
    outcomes = tuple(e.Outcome(line=line, custom_id=str(line), status_code=200, usage=usage) for line in lines)
    sent = it.event
    world.fold(
        e.ChunkCompleted(
            batch_id=sent.batch_id,
            slice_id=sent.slice_id,
            runner_id=sent.runner_id,
            epoch=sent.epoch,
            chunk=1,
            model=sent.model,
            outcomes=outcomes,
            at=world.now,
        )
    )


def candidate(world: World, name: str) -> Candidate:
    candidates = view_of(world.state, world.state.runners[RUNNER], world.now).candidates
    return next(candidate for candidate in candidates if candidate.batch_id == batch_id(name))


def test_the_rate_of_a_model_is_its_answers_over_the_time_they_took(world: World):
    world.running("a", 10_000)
    world.settle()
    loaded(world, 30)
    for _ in range(4):
        answer(world, 10, 50)
    speed = world.state.costs.speeds[SMALL]
    assert speed.requests_a_second == pytest.approx(5)
    assert speed.units_a_second == pytest.approx(2_500)


def test_loading_and_idle_time_do_not_make_a_model_slow(world: World):
    world.running("a", 200)
    world.settle()
    world.later(timedelta(hours=1))
    loaded(world, 3600)
    answer(world, 20, 200)
    assert world.state.slices == {}
    world.settle()
    world.later(timedelta(hours=5))
    world.running("b", 200)
    world.settle()
    answer(world, 20, 200)
    assert world.state.costs.speeds[SMALL].requests_a_second == pytest.approx(10)


def test_an_engine_that_died_gives_no_time_to_the_next_answers(world: World):
    world.running("a", 100)
    sent = world.settle()[-1]
    assert isinstance(sent, e.BatchDispatched)
    world.later(timedelta(minutes=10))
    world.give_back(sent.slice_id, ReturnReason.PREEMPTED)
    world.later(timedelta(minutes=10))
    world.settle()
    answer(world, 20, 100)
    assert world.state.costs.speeds[SMALL].requests_a_second == pytest.approx(5)


def test_until_it_is_measured_a_model_counts_as_modest_and_its_batches_as_in_doubt(world: World):
    world.running("a", 1_000)
    assert world.state.costs.swap_default == SWAP_SECONDS_UNKNOWN
    unknown = candidate(world, "a")
    assert unknown.work == pytest.approx(1_000 * (16 + 0.25 + 400) / UNITS_A_SECOND_UNKNOWN)
    assert unknown.error == pytest.approx(0.5)


def test_a_batch_with_long_answers_is_known_by_them(world: World):
    world.running("a", 2_000)
    world.settle()
    loaded(world, 30)
    before = candidate(world, "a")
    for _ in range(20):
        answer(world, 10, 20, e.Usage(input_tokens=84, output_tokens=2_000))
    after = candidate(world, "a")
    waiting = world.state.batches[batch_id("a")].waiting_count
    assert after.work == pytest.approx(waiting * 0.5, rel=0.15)
    assert after.error < before.error / 4


def test_swap_costs_follow_the_latest_loads_and_stand_in_for_unseen_models(world: World):
    loaded(world, 40)
    loaded(world, 20)
    loaded(world, 10, "large")
    costs = world.state.costs
    assert costs.swap_seconds == {"small": pytest.approx(34), "large": 10}
    assert costs.swap_default == pytest.approx(22)


def test_residency_counts_from_the_load(world: World):
    world.running("a", 1)
    world.settle()
    world.later(timedelta(seconds=50))
    loaded(world, 50)
    world.later(timedelta(seconds=7))
    runner = world.state.runners[RUNNER]
    assert view_of(world.state, runner, world.now).resident == pytest.approx(7 + backlog(world.state, runner))


def test_what_the_runner_holds_runs_before_what_is_chosen_now(world: World):
    world.running("a", 10_000)
    world.settle()
    runner = world.state.runners[RUNNER]
    seen = view_of(world.state, runner, world.now)
    assert seen.now - world.now.timestamp() == pytest.approx(backlog(world.state, runner)) != 0


def test_an_owner_served_more_than_others_weighs_less_and_is_forgiven_in_time():
    costs = CostModel(services={OwnerId("busy"): Service(3_000, at=0.0)})
    owners = [OwnerId("busy"), OwnerId("quiet")]
    soon, late = costs.shares(owners, 0.0), costs.shares(owners, 86_400.0)
    assert soon[owners[0]] < 1.0 < soon[owners[1]] <= 4.0
    assert late[owners[0]] == pytest.approx(late[owners[1]], rel=0.01)


def test_an_owner_alone_has_a_fair_share():
    costs = CostModel(services={OwnerId("busy"): Service(3_000, at=0.0)})
    assert costs.shares([OwnerId("busy")], 0.0) == {"busy": 1.0}


def test_another_scheduler_that_folds_the_same_log_knows_the_same(world: World):
    other = World(DensityPolicy())
    for each in (world, other):
        each.model("small")
        each.runner()
        each.running("a", 5_000)
        each.settle()
        loaded(each, 12)
        answer(each, 30, 100)
    assert world.state.costs == other.state.costs


def test_a_model_that_failed_to_load_is_not_taken_to_be_on_the_device(world: World):
    world.running("a", 10)
    world.settle()
    assert world.state.runners[RUNNER].model == SMALL
    world.fold(e.ModelFailed(runner_id=RUNNER, epoch=1, model=SMALL, detail="out of memory", at=world.now))
    assert world.state.runners[RUNNER].model is None


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        (None, DensityPolicy()),
        ("deadline_aware", DensityPolicy()),
        ("fifo", stay_then_oldest),
        ("dips", DensityPolicy()),
        ("plain", stay_then_oldest),
    ],
)
def test_a_setting_chooses_the_policy(monkeypatch: pytest.MonkeyPatch, name: str | None, policy: Policy):
    monkeypatch.delenv("VBATCH_SCHEDULER_POLICY", raising=False)
    if name:
        monkeypatch.setenv("VBATCH_SCHEDULER_POLICY", name)
    assert POLICIES[SchedulerSettings().policy] == policy
