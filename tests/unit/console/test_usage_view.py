from vbatch.console.core.reading_objects import Usage, UsageRow, UsageTotals
from vbatch.console.core.usage_view import DAYS_DEFAULT, bars_of, range_asked, sums_by

NOTHING = UsageTotals(0, 0, 0, 0, 0, 0, 0, 0.0)


def row(day: str, *, owner: str = "ada", model: str | None = "m", succeeded: int = 9, failed: int = 1) -> UsageRow:
    return UsageRow(day, owner, model, 1, succeeded + failed, succeeded, failed, 5, 7, 0, 2.0)


def usage(*rows: UsageRow) -> Usage:
    return Usage("2030-02-27", "2030-03-02", rows, NOTHING, False)


def test_every_day_has_its_place_and_the_busiest_is_as_high_as_the_plot():
    bars = bars_of(usage(row("2030-03-01"), row("2030-03-01", model="n"), row("2030-02-27", succeeded=4, failed=0)))
    assert [bar.day for bar in bars] == ["2030-02-27", "2030-02-28", "2030-03-01", "2030-03-02"]
    assert bars[2].succeeded + bars[2].failed == 100 and bars[0].succeeded == 20.0
    assert bars[1].requests == 0 and bars[3].x + bars[3].width <= 100


def test_a_time_without_a_batch_has_no_bar():
    assert all(bar.succeeded == bar.failed == 0 for bar in bars_of(usage()))


def test_sums_are_by_name_the_most_first():
    sums = sums_by(
        usage(row("2030-03-01"), row("2030-03-02"), row("2030-03-02", model=None)), lambda each: each.model or "-"
    )
    assert [(each.name, each.requests, each.batches) for each in sums] == [("m", 20, 2), ("-", 10, 1)]


def test_only_ranges_that_are_offered_are_taken():
    assert range_asked({"days": "7"}) == 7 and range_asked({"days": "8000"}) == DAYS_DEFAULT == range_asked({})
