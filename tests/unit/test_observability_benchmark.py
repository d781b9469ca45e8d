"""The comparison of bench:observability: pairs of turns, and the ratios within them."""

from __future__ import annotations

from benchmarks.observability import COMPARED, CPU, RATE, Figures, Pair, compared, in_turn


def figures(rate: float, cpu: float) -> Figures:
    return {**dict.fromkeys(COMPARED, 1.0), RATE: rate, CPU: cpu, "scrapes": 3}


def test_turns_come_in_pairs_each_begun_by_the_other_side_after_one_of_each_that_does_not_count():
    turns = list[str]()

    def off() -> Figures:
        turns.append("off")
        return figures(len(turns), 1)

    def on() -> Figures:
        turns.append("on")
        return figures(len(turns), 1)

    pairs = list(in_turn(off, on, 2))
    assert turns == ["off", "on", "off", "on", "on", "off"]
    assert [(pair.off[RATE], pair.on[RATE]) for pair in pairs] == [(3, 4), (6, 5)]


def test_a_load_that_slows_one_pair_changes_no_ratio():
    quiet, loaded = Pair(figures(2_000, 0.2), figures(1_900, 0.22)), Pair(figures(500, 0.4), figures(475, 0.44))
    found = compared([quiet, loaded, quiet], 20_000, 0.01)
    ratios = {name: found[name] for name in found if name.startswith(("throughput_kept", "cpu_ratio"))}
    assert ratios == {
        "throughput_kept": 0.95, "throughput_kept_lowest": 0.95, "throughput_kept_highest": 0.95,
        "throughput_kept_goal": 0.95, "cpu_ratio": 1.1, "cpu_ratio_lowest": 1.1, "cpu_ratio_highest": 1.1,
    }  # fmt: skip
