from datetime import date

import pytest

from vbatch.gateway.core.refusals import Refusal
from vbatch.gateway.core.usage import ROWS_MAX, UsageRow, parse_usage_params, usage_table, usage_view

TODAY = date(2030, 3, 10)


def row(day: date = TODAY, *, owner: str = "ada", model: str | None = "m", requests: int = 10) -> UsageRow:
    return UsageRow(
        day=day,
        owner=owner,
        model=model,
        batches=1,
        requests=requests,
        succeeded=requests - 1,
        failed=1,
        input_tokens=5,
        output_tokens=7,
        cached_tokens=2,
        answering_seconds=1.5,
    )


def test_by_default_the_last_thirty_days_are_told():
    ask = parse_usage_params({}, TODAY)
    assert (ask.last - ask.first).days == 29 and ask.last == TODAY
    assert (ask.ends - ask.begins).days == 30


def test_days_are_told_with_both_ends():
    ask = parse_usage_params({"first_day": "2030-03-01", "last_day": "2030-03-01"}, TODAY)
    assert ask.begins.isoformat() == "2030-03-01T00:00:00+00:00" and (ask.ends - ask.begins).days == 1


@pytest.mark.parametrize(
    "query",
    [
        {"first_day": "yesterday"},
        {"first_day": "2030-03-02", "last_day": "2030-03-01"},
        {"first_day": "2020-01-01"},
        {"format": "xlsx"},
    ],
)
def test_what_makes_no_sense_is_refused(query: dict[str, str]):
    with pytest.raises(Refusal):
        parse_usage_params(query, TODAY)


def test_totals_are_those_of_the_rows():
    view = usage_view(parse_usage_params({}, TODAY), [row(), row(requests=20)])
    assert (view.totals.requests, view.totals.failed, view.totals.answering_seconds) == (30, 2, 3.0)
    assert not view.has_more
    assert usage_view(parse_usage_params({}, TODAY), [row()] * (ROWS_MAX + 1)).has_more


def test_a_table_has_a_heading_and_no_formula():
    table = usage_table(usage_view(parse_usage_params({}, TODAY), [row(owner="=cmd", model=None)])).decode()
    assert table.splitlines() == [
        "day,owner,model,batches,requests,succeeded,failed,input_tokens,output_tokens,cached_tokens,answering_seconds",
        "2030-03-10,'=cmd,,1,10,9,1,5,7,2,1.5",
    ]
