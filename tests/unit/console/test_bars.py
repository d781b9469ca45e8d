from tests.unit.console.samples import entry
from vbatch.console.core.api_objects import Counts, Eta
from vbatch.console.core.bars import TICKS_MAX, Axis, axis_of, bar_of, progress_of


def test_success_and_failure_share_the_bar():
    progress = progress_of(Counts(total=200, completed=50, failed=100))
    assert (progress.succeeded.width, progress.failed.x, progress.failed.width) == (25, 25, 50)


def test_a_batch_that_is_not_counted_has_an_empty_bar():
    assert progress_of(Counts(0, 0, 0)).succeeded.width == 0


def test_without_a_forecast_there_is_no_axis():
    assert axis_of([entry()], 100) is None


def test_a_very_uncertain_end_does_not_squeeze_the_others():
    axis = axis_of([entry(eta=Eta(110, 200, 100_000, is_guess=True))], 100)
    assert axis is not None and axis.end - axis.start < 200


def test_bars_stay_on_the_axis():
    axis = Axis(1_000, 2_000)
    bar = bar_of(entry(eta=Eta(1_500, 1_800, 9_000, is_guess=False), starts_at=1_200), axis, 1_900)
    assert bar is not None and bar.is_cut and bar.window_x == 90
    assert (bar.likely.x, bar.likely.width, bar.doubt.x) == (20, 60, 50)
    assert bar.doubt.x + bar.doubt.width <= 100


def test_a_window_far_away_is_not_marked():
    bar = bar_of(entry(eta=Eta(1_500, 1_800, 1_900, is_guess=False)), Axis(1_000, 2_000), 90_000)
    assert bar is not None and bar.window_x is None and not bar.is_cut


def test_an_axis_of_any_length_has_few_round_ticks():
    for length in (100, 5_000, 90_000, 600_000, 9_000_000):
        ticks = Axis(12_345, 12_345 + length).ticks
        assert 0 < len(ticks) <= TICKS_MAX + 1
        assert all(0 <= tick.x <= 100 for tick in ticks)
