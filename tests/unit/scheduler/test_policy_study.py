"""The study's own parts: a simulator that counts, optima that are the best; and the policy keeps its promise in it."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from benchmarks.policy_study.optimum import fewest_swaps, least_mean_flow, least_mean_flow_of_loads, least_missed
from benchmarks.policy_study.reach import best_order
from benchmarks.policy_study.rules import GROUP, OFF_BY_HALF, OLDEST_FIRST, OURS, RULES, Rule
from benchmarks.policy_study.simulator import Device
from benchmarks.policy_study.study import run
from benchmarks.policy_study.traces import HOURS, LOAD, TRACED
from benchmarks.policy_study.workload import HOUR, SCENARIOS, Batch
from vbatch.contracts.ids import ModelId

SWAP = 10.0


def batch(number: int, model: str, work: float, due: float = 1e9) -> Batch:
    return Batch(number, ModelId(model), work, 0.0, due)


def some(seed: int) -> list[Batch]:
    random = Random(seed)
    return [
        batch(number, random.choice("ab"), random.uniform(1, 100), due=random.uniform(20, 300)) for number in range(5)
    ]


def ends(order: tuple[Batch, ...]) -> list[float]:
    now, last, ended = 0.0, None, []
    for batch in order:
        now += batch.work + (0.0 if batch.model == last else SWAP)
        last = batch.model
        ended.append(now)
    return ended


def loads(order: tuple[Batch, ...]) -> int:
    return sum(it.model != before for it, before in zip(order, [None, *(batch.model for batch in order)], strict=False))


def test_the_simulator_counts_swaps_and_time():
    done = run(RULES[GROUP], [batch(1, "a", 5), batch(2, "b", 7), batch(3, "a", 1)], SWAP)
    assert (done.swaps, done.makespan, done.mean_flow) == (2, 33.0, (15 + 16 + 33) / 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_optima_are_those_of_trying_every_order(seed: int):
    batches = some(seed)
    orders = [(order, ends(order)) for order in permutations(batches)]
    assert least_mean_flow(batches, SWAP) == pytest.approx(min(sum(ended) for _, ended in orders) / len(batches))
    least = min(sum(ended) for _, ended in orders)
    few = min(loads(order) for order, ended in orders if sum(ended) <= 1.1 * least)
    assert fewest_swaps(batches, SWAP, 1.1) == few
    lates = [sum(end > it.due for it, end in zip(order, ended, strict=True)) for order, ended in orders]
    assert least_missed(batches, SWAP) == min(lates)


@pytest.mark.parametrize("seed", range(5))
def test_the_least_mean_flow_of_few_loads_is_that_of_trying_every_order(seed: int):
    batches = some(seed)
    flows = [(loads(order), sum(ends(order)) / len(batches)) for order in permutations(batches)]
    models = len({batch.model for batch in batches})
    assert least_mean_flow_of_loads(batches, SWAP) == pytest.approx(
        tuple(min(flow for count, flow in flows if count <= models + more) for more in (0, 1))
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_best_order_at_every_arrival_is_the_optimum_where_nothing_arrives(seed: int):
    batches = some(seed)
    found = run(Rule(best_order), batches, SWAP).mean_flow
    assert found == pytest.approx(least_mean_flow(batches, SWAP))


def test_a_model_loaded_ahead_while_nothing_waits_is_there_when_its_batch_comes():
    late = Batch(1, ModelId("a"), 5.0, 100.0, 1e9)
    assert Device(RULES[OURS].policy, SWAP).run([late]).mean_flow == SWAP + 5.0
    assert Device(RULES[OURS].policy, SWAP, ahead=lambda _, following: following.model).run([late]).mean_flow == 5.0


@pytest.mark.parametrize("scenario", TRACED)
def test_workloads_after_traces_bring_a_day_of_work_of_the_load_asked_for(scenario: str):
    drawn = [TRACED[scenario](seed) for seed in range(30)]
    works = [sum(batch.work for batch in batches) for batches in drawn]
    assert sum(works) / len(works) == pytest.approx(LOAD * HOUR * HOURS, rel=0.1)
    assert all(batches == sorted(batches, key=lambda batch: batch.arrived) for batches in drawn)


@pytest.mark.parametrize("scenario", ["A mixed windows", "E tight windows"])
def test_the_policy_more_than_halves_the_wait_and_keeps_nine_of_ten_missed_deadlines_and_its_promise(scenario: str):
    batches = SCENARIOS[scenario](0)
    oldest, ours = (run(RULES[name], batches, 48.0) for name in (OLDEST_FIRST, OURS))
    assert ours.mean_flow < 0.4 * oldest.mean_flow
    assert ours.missed < 0.1 * oldest.missed
    assert ours.starved_seconds == 0.0


@pytest.mark.parametrize(
    ("scenario", "name"), [(scenario, OURS) for scenario in SCENARIOS] + [("E tight windows", OFF_BY_HALF)]
)
def test_no_batch_waits_past_a_quarter_of_its_window_for_its_first_service_behind_a_later_one(scenario: str, name: str):
    assert run(RULES[name], SCENARIOS[scenario](1), 48.0, seed=1).starved_seconds == 0.0


def test_the_simulator_sees_a_broken_promise():
    without = run(RULES["without first answers"], SCENARIOS["D huge batches"](0), 48.0)
    assert without.starved_seconds > 3600.0
