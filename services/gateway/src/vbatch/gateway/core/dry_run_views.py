"""The object that a dry run returns."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from vbatch.contracts.dry_run import RunEstimate
from vbatch.gateway.core.dry_run import MILLION, Prices, Range
from vbatch.gateway.core.server_views import FileFaultObject

HOUR = 3_600.0


class RangeObject(BaseModel):
    """`value` is the most likely value; the true value is probably between `low` and `high`."""

    value: int
    low: int
    high: int


class TriedLineObject(BaseModel):
    """One line that was run. `body` is the engine's answer, unchanged; null if it is too long to be shown here."""

    line: int
    custom_id: str
    status_code: int
    seconds: float
    body: Any


class MoneyObject(BaseModel):
    """In the currency of the prices; null if no price was given, or if the number of tokens is not known."""

    input: float | None
    output: float | None
    energy: float | None


class EstimateObject(BaseModel):
    """The cost of the whole file. Times are Unix seconds; a value that is not known is null."""

    input_tokens: RangeObject | None
    input_tokens_counted_lines: int
    output_tokens: RangeObject | None
    work_seconds: float
    is_guess: bool
    starts_at: int | None
    ends_at: int | None
    ends_at_earliest: int | None
    ends_at_latest: int | None
    watt_hours: float | None
    money: MoneyObject | None


class DryRunObject(BaseModel):
    """A batch that was not created: a few of its answers, and the cost of all of them."""

    object: Literal["batch.dry_run"] = "batch.dry_run"
    input_file_id: str
    endpoint: str
    completion_window: str
    is_fit: bool
    model: str | None
    requests: int
    faults: list[FileFaultObject]
    answers: list[TriedLineObject]
    estimate: EstimateObject | None


def range_view(found: Range | None) -> RangeObject | None:
    return (
        None if found is None else RangeObject(value=round(found.value), low=round(found.low), high=round(found.high))
    )


def estimate_view(
    tokens_in: Range | None, counted_lines: int, tokens_out: Range | None, *, run: RunEstimate, watts: float | None,
    prices: Prices,
) -> EstimateObject:  # fmt: skip
    watt_hours = None if watts is None else watts * run.work_seconds / HOUR
    return EstimateObject(
        input_tokens=range_view(tokens_in),
        input_tokens_counted_lines=counted_lines,
        output_tokens=range_view(tokens_out),
        work_seconds=round(run.work_seconds, 1),
        is_guess=run.is_guess,
        starts_at=_unix(run.starts_at),
        ends_at=_unix(run.ends_at),
        ends_at_earliest=_unix(run.ends_at_earliest),
        ends_at_latest=_unix(run.ends_at_latest),
        watt_hours=None if watt_hours is None else round(watt_hours, 2),
        money=_money(tokens_in, tokens_out, watt_hours, prices),
    )


def _money(
    tokens_in: Range | None, tokens_out: Range | None, watt_hours: float | None, prices: Prices
) -> MoneyObject | None:
    if prices == Prices():
        return None
    return MoneyObject(
        input=_cost(tokens_in.value if tokens_in else None, prices.input_per_million, MILLION),
        output=_cost(tokens_out.value if tokens_out else None, prices.output_per_million, MILLION),
        energy=_cost(watt_hours, prices.per_kwh, 1_000),
    )


def _cost(amount: float | None, price: float | None, per: float) -> float | None:
    return None if amount is None or price is None else round(amount / per * price, 6)


def _unix(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
