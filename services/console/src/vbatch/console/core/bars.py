"""Where bars begin and end, in percent of their width: progress, and the forecast on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from vbatch.console.core.api_objects import Counts, QueueEntry

TICK_SECONDS = (60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400, 172_800)
TICKS_MAX = 6
HORIZON_SECONDS_MIN = 30
LATEST_SHARE_MAX = 1.6
"""A very uncertain end must not squeeze all other bars: the axis ends at most at this multiple of the last likely
end."""


@dataclass(frozen=True, slots=True)
class Part:
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Progress:
    """The shares that succeeded and failed, side by side."""

    succeeded: Part
    failed: Part


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    at: int


@dataclass(frozen=True, slots=True)
class Axis:
    """From now to the end of the forecast, in Unix seconds."""

    start: int
    end: int

    def x(self, at: float) -> float:
        share = (at - self.start) / (self.end - self.start)
        return round(100 * min(1.0, max(0.0, share)), 2)

    @property
    def ticks(self) -> list[Tick]:
        """Return at most six ticks, at round distances; none if the axis is shorter than a minute."""
        length = self.end - self.start
        longest = TICK_SECONDS[-1] * ceil(length / (TICKS_MAX * TICK_SECONDS[-1]))
        step = next((seconds for seconds in TICK_SECONDS if length / seconds <= TICKS_MAX), longest)
        first = self.start - self.start % step + step
        return [Tick(self.x(at), at) for at in range(first, self.end, step)]


@dataclass(frozen=True, slots=True)
class Bar:
    """One batch on the axis: `likely` runs from its start to its likely end, `doubt` from the earliest to the latest
    end. `window_x` is where its completion window ends, if that is on the axis; `is_cut`: the latest end is beyond
    it."""

    likely: Part
    doubt: Part
    is_guess: bool
    window_x: float | None
    is_cut: bool


def progress_of(counts: Counts) -> Progress:
    if not counts.total:
        return Progress(Part(0, 0), Part(0, 0))
    succeeded = 100 * counts.completed / counts.total
    failed = 100 * counts.failed / counts.total
    return Progress(Part(0, round(succeeded, 2)), Part(round(succeeded, 2), round(failed, 2)))


def axis_of(entries: Sequence[QueueEntry], now: int) -> Axis | None:
    """Return the axis; None if there is no forecast."""
    etas = [entry.eta for entry in entries if entry.eta is not None]
    if not etas:
        return None
    likely = max(eta.likely for eta in etas) - now
    latest = max(eta.latest for eta in etas) - now
    length = max(HORIZON_SECONDS_MIN, min(latest, LATEST_SHARE_MAX * likely))
    return Axis(now, now + round(1.04 * length))


def bar_of(entry: QueueEntry, axis: Axis, expires_at: int | None) -> Bar | None:
    """Return the bar; None for a batch without a forecast."""
    if entry.eta is None:
        return None
    eta = entry.eta
    starts = axis.x(entry.starts_at if entry.starts_at is not None else axis.start)
    ends, earliest, latest = axis.x(eta.likely), axis.x(eta.earliest), axis.x(eta.latest)
    is_on_axis = expires_at is not None and axis.start <= expires_at <= axis.end
    return Bar(
        likely=Part(starts, max(0.6, round(ends - starts, 2))),
        doubt=Part(earliest, max(0.6, round(latest - earliest, 2))),
        is_guess=eta.is_guess,
        window_x=axis.x(expires_at) if is_on_axis and expires_at is not None else None,
        is_cut=eta.latest > axis.end,
    )
