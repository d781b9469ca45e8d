"""How the benchmark of the device's choices compares two engines on a machine whose speed varies."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from benchmarks.devices import CHAT, SHORT, Study, _results as results_of
from benchmarks.devices_study.pairs import Comparison, Measure, Pair, Round, best_ratio, pairs_of


@dataclass
class Hour:
    """A machine that becomes slower with every round; `order` has the names of the rounds."""

    order: list[str] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    def engine(self, name: str, speed: float) -> Measure:
        async def measure(requests: int) -> Round:
            self.order.append(name)
            self.requests.append(requests)
            return Round(speed * 0.95 ** len(self.order), 1 / speed)

        return measure


async def test_two_engines_answer_in_turn_and_each_is_first_in_turn():
    hour = Hour()
    await pairs_of(hour.engine("chosen", 20.0), hour.engine("point", 20.0), 160, pairs_max=3)
    assert hour.order[2:] == ["chosen", "point", "point", "chosen", "chosen", "point"]


async def test_a_machine_that_becomes_slower_does_not_decide():
    hour = Hour()
    pairs = await pairs_of(hour.engine("chosen", 20.0), hour.engine("point", 20.0), 160, pairs_max=2)
    assert [round(pair.ratio, 2) for pair in pairs] == [1.05, 0.95]


async def test_a_point_that_is_clearly_slower_is_measured_no_further():
    hour = Hour()
    assert len(await pairs_of(hour.engine("chosen", 20.0), hour.engine("point", 5.0), 160)) == 2


async def test_a_slow_engine_gets_fewer_requests():
    hour = Hour()
    await pairs_of(hour.engine("chosen", 40.0), hour.engine("point", 2.0), 160, pairs_max=1)
    assert hour.requests == [16, 16, 160, 18]


def compared(name: str, *ratios: float) -> Comparison:
    return Comparison(name, tuple(Pair(Round(ratio * 10), Round(10.0)) for ratio in ratios), 30.0)


def test_the_ratio_is_the_median_and_the_spread_says_how_noisy_it_was():
    comparison = compared("a", 0.9, 1.2, 1.0)
    assert (comparison.ratio, round(comparison.spread, 2)) == (1.0, 1.33)


async def test_processor_time_shows_what_a_busy_machine_hides():
    hour = Hour()
    pairs = await pairs_of(hour.engine("chosen", 20.0), hour.engine("point", 10.0), 160, pairs_max=1)
    assert Comparison("a", pairs).cpu_ratio == 2.0
    assert compared("a", 1.0).cpu_ratio is None


def test_choices_that_nothing_beats_are_the_best_themselves():
    assert best_ratio([1.3, 1.1]) == 1.0
    assert best_ratio([1.3, 0.8]) == 0.8
    assert best_ratio([]) is None


def test_the_result_comes_from_the_worse_of_the_two_models():
    study: Study = {
        "native_chat": [compared("default", 1.6), compared("block_size_64", 1.1), compared("compiled", 0.9)],
        "native_embedding": [compared("default", 1.2), compared("block_size_64", 0.97)],
        "avx2_chat": [compared("bfloat16", 2.9)],
    }
    study["native_chat"].append(compared("itself", 0.5))
    results = results_of(study)
    assert results["chosen_vs_default"] == 1.2
    assert results["chosen_vs_best_of_grid"] == 0.9
    assert results["avx2_chat_chosen_vs_bfloat16"] == 2.9
    assert results["grid_points"] == "chat 2, embedding 1"


def test_one_model_alone_is_no_result():
    assert results_of({"native_chat": [compared("compiled", 1.2)]})["chosen_vs_best_of_grid"] is None


def test_without_any_comparison_there_is_no_result():
    assert results_of({f"native_{SHORT[CHAT]}": []})["chosen_vs_best_of_grid"] is None


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_vllms_own_defaults_are_not_a_point_of_the_grid(ratio: float):
    assert results_of({"native_chat": [compared("default", ratio)]})["chosen_vs_best_of_grid"] is None
