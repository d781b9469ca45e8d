"""The win rates of Bradley and Terry: a published example, and what must hold for any votes."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt

import pytest
from hypothesis import assume, given, strategies as st

from vbatch.console.core.voting import NORMAL_95, Tally
from vbatch.console.core.win_rates import win_rates
from vbatch.console.flows.voting import PairTally, rates_of

PUBLISHED = ((0, 2, 0, 1), (3, 0, 5, 0), (0, 3, 0, 1), (4, 0, 3, 0))
STRENGTHS = (0.640, 1.043, 0.660, 2.270)
"""The worked example of four teams and 22 games in the article of Wikipedia on the Bradley-Terry model."""


@st.composite
def votes(draw: st.DrawFn) -> list[list[float]]:
    size = draw(st.integers(2, 6))
    counts = st.integers(0, 40).map(lambda halves: halves / 2)
    return [[0.0 if i == j else draw(counts) for j in range(size)] for i in range(size)]


def scaled(wins: Sequence[Sequence[float]], factor: float) -> list[list[float]]:
    return [[factor * count for count in row] for row in wins]


def test_a_published_example_comes_out():
    rates = [rate.share for rate in win_rates(PUBLISHED)]
    expected = [
        sum(one / (one + other) for other in STRENGTHS if other is not one) / (len(STRENGTHS) - 1) for one in STRENGTHS
    ]
    assert rates == pytest.approx(expected, abs=0.001)


def test_of_two_batches_the_rate_is_the_share_of_wins_and_its_interval_that_of_a_logarithm_of_odds():
    first, second = win_rates(((0, 30), (10, 0)))
    half = NORMAL_95 * sqrt(1 / 30 + 1 / 10)
    assert first.share == pytest.approx(0.75) and second.share == pytest.approx(0.25)
    assert first.low == pytest.approx(1 / (1 + exp(half - log(3))))
    assert (first.low, first.high) == pytest.approx((1 - second.high, 1 - second.low))


def test_a_batch_is_rated_against_one_that_it_never_met():
    first, _, third = win_rates(((0, 20, 0), (10, 0, 20), (0, 10, 0)))
    assert first.share > 2 / 3 > 1 / 3 > third.share


@pytest.mark.parametrize("wins", [(), ((0,),), ((0, 0), (0, 0)), ((0, 5), (0, 0)), ((0, 1, 0), (1, 0, 3), (0, 0, 0))])
def test_votes_that_do_not_determine_a_rate_give_none(wins: Sequence[Sequence[float]]):
    assert win_rates(wins) == ()


@given(votes())
def test_rates_lie_in_their_intervals_and_share_what_there_is_to_win(wins: list[list[float]]):
    rates = win_rates(wins)
    assume(rates)
    assert all(0 < rate.low < rate.share < rate.high < 1 for rate in rates)
    assert sum(rate.share for rate in rates) == pytest.approx(len(wins) / 2)


@given(votes())
def test_the_order_of_the_batches_does_not_matter(wins: list[list[float]]):
    rates = win_rates(wins)
    assume(rates)
    turned = [row[::-1] for row in wins[::-1]]
    assert [rate.share for rate in win_rates(turned)][::-1] == pytest.approx([rate.share for rate in rates], abs=1e-6)


@given(votes())
def test_more_votes_of_the_same_kind_narrow_the_interval_only(wins: list[list[float]]):
    rates, more = win_rates(wins), win_rates(scaled(wins, 4))
    assume(rates)
    assert [rate.share for rate in more] == pytest.approx([rate.share for rate in rates], abs=1e-6)
    assert all(new.high - new.low < old.high - old.low for new, old in zip(more, rates, strict=True))


def test_votes_on_pairs_become_a_rate_for_each_batch_with_ties_as_half_a_win_each():
    told = [
        PairTally(("a", "b"), Tally(first=29, second=9, ties=2)),
        PairTally(("a", "c"), Tally()),
        PairTally(("b", "c"), Tally(first=1, second=1)),
    ]
    rates = rates_of(("a", "b", "c"), told)
    assert list(rates) == ["a", "b", "c"]
    assert rates["a"].share == pytest.approx(0.75) and rates["b"].share == pytest.approx(rates["c"].share)


def test_without_votes_there_is_no_rate():
    assert rates_of(("a", "b"), [PairTally(("a", "b"), Tally())]) == {}
