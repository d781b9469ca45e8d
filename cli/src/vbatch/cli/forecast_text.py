"""Describes a forecast in sentences: what a batch waits for, when it starts and ends, and what would change that."""

from __future__ import annotations

from collections.abc import Iterator

from vbatch.cli.api_types import Admission, Batch, Eta, QueueEntry, Why
from vbatch.contracts.durations import rough_duration
from vbatch.contracts.event_text import amount

GUESS = "This is a guess, because a model has few measurements yet; some ten seconds of its work improve it."


def ends(eta: Eta, now: float) -> str:
    """Return `in about 3 min (2 min to 5 min)`, marked as a guess if it is one."""
    if eta.likely - now < 1.5 and not eta.is_guess:
        return "at any moment"
    likely, earliest, latest = (
        rough_duration(at - now, shortest="now") for at in (eta.likely, eta.earliest, eta.latest)
    )
    parts = ("a guess" if eta.is_guess else "", "" if earliest == latest else f"{earliest} to {latest}")
    detail = ": ".join(part for part in parts if part)
    return f"in about {likely}" + (f" ({detail})" if detail else "")


def warning(admission: Admission | None, window: str = "its window") -> str:
    """Return a warning if the batch will miss its window; empty otherwise."""
    if admission is None or admission.feasible:
        return ""
    enough = admission.earliest_completion_window
    cure = f"a window of {enough} would be enough" if enough else "not even a week would be enough"
    return f"It is not expected to end within {window}: {cure}. Requests that have not run by then stay unanswered."


def forecast_line(batch: Batch, now: float) -> Iterator[str]:
    """Yield the expected end of a new batch and a warning; nothing without a forecast."""
    if batch.eta is not None:
        yield f"It ends {ends(batch.eta, now)}."
    elif batch.waiting_for is not None:
        yield f"It waits for {batch.waiting_for}."
    if words := warning(batch.admission, batch.completion_window):
        yield words


def why(forecast: Why, now: float) -> Iterator[str]:
    """Yield the explanation line by line."""
    left = f", {amount(forecast.waiting_requests, 'request')} not yet started" if forecast.waiting_requests else ""
    yield f"{forecast.batch_id} is {forecast.status}{left}."
    yield (
        f"It waits for {forecast.waiting_for}."
        if forecast.waiting_for
        else "The server does not know what it waits for."
    )
    yield from _before(forecast)
    yield from _times(forecast, now)
    if forecast.reason:
        yield f"It is chosen because {forecast.reason}."
    if words := warning(forecast.admission):
        yield words
    yield from forecast.remedies


def batches(count: int) -> str:
    return "1 batch" if count == 1 else f"{count:,} batches"


def _place(position: int | None) -> str:
    return "" if position is None else "runs" if position == 0 else str(position)


def _before(forecast: Why) -> Iterator[str]:
    own, others = len(forecast.runs_first), forecast.others_first
    if own:
        yield f"Ahead of it: {batches(own)} of yours, {', '.join(forecast.runs_first)}."
    if others:
        yield f"Ahead of it: {batches(others)} of other owners."


def _times(forecast: Why, now: float) -> Iterator[str]:
    starts = (
        f"starts in about {rough_duration(forecast.starts_at - now, shortest='now')}"
        if forecast.starts_at and forecast.starts_at - now > 1.5
        else ""
    )
    finishes = f"ends {ends(forecast.eta, now)}" if forecast.eta else ""
    if words := " and ".join(part for part in (starts, finishes) if part):
        yield f"It {words}."
    if forecast.eta and forecast.eta.is_guess:
        yield GUESS


def cells(entry: QueueEntry, now: float) -> tuple[str, ...]:
    """Return a row of the queue's table."""
    starts = rough_duration(entry.starts_at - now, shortest="now") if entry.starts_at else ""
    finishes = ends(entry.eta, now).removeprefix("in about ") if entry.eta else ""
    rate = f"{entry.requests_per_second:,.1f}" if entry.requests_per_second else ""
    late = "late" if entry.admission and not entry.admission.feasible else ""
    waits = entry.waiting_for or ""
    return (
        _place(entry.queue_position),
        entry.batch_id,
        entry.model or "",
        str(entry.priority),
        f"{entry.waiting_requests:,}",
        rate,
        starts,
        finishes,
        late,
        waits,
    )
