"""The life of a batch as lanes on one time axis, and the steps from one state of it to the next."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from vbatch.console.core import reading_objects as reading
from vbatch.console.core.wording import span

WIDTH_MIN = 0.35
"""Percent: a shorter bar would not be visible."""
OWN_LANE = "batch"
TICKS = 5
FINE_SECONDS = 10
"""On a shorter axis, times have a decimal."""
STATE_ROWS = (
    ("status", "Status"),
    ("completed", "Succeeded"),
    ("failed", "Failed"),
    ("total", "Requests"),
    ("output_tokens", "Output tokens"),
    ("slices_out", "Slices dispatched, not returned"),
    ("slices_returned", "Slices returned"),
    ("priority", "Priority"),
    ("is_paused", "Paused"),
)


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    width: float
    kind: str
    words: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Lane:
    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    x: float
    mark: reading.Mark
    is_trouble: bool


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    words: str


@dataclass(frozen=True, slots=True)
class Lanes:
    lanes: tuple[Lane, ...]
    marks: tuple[Mark, ...]
    ticks: tuple[Tick, ...]
    now_x: float


@dataclass(frozen=True, slots=True)
class Steps:
    """The place of the shown state among the events, and its neighbours; None at either end."""

    index: int
    count: int
    earlier: int | None
    later: int | None


@dataclass(frozen=True, slots=True)
class StateRow:
    words: str
    value: str
    is_changed: bool


TROUBLE = frozenset(
    {"returned", "retried", "engine crashed", "model failed", "profile lowered", "runner lost", "rejected"}
)


def lanes_of(timeline: reading.Timeline) -> Lanes:
    """Return the batch's own lane first, then each runner's with its loads."""
    names = sorted({each.lane for each in timeline.spans}, key=lambda name: (name != OWN_LANE, name))
    length = max(timeline.ends_at - timeline.starts_at, 0.001)

    def x(at: float) -> float:
        return round(100 * min(1.0, max(0.0, (at - timeline.starts_at) / length)), 3)

    def bar(each: reading.Span) -> Bar:
        end = each.ends_at if each.ends_at is not None else timeline.ends_at
        width = max(WIDTH_MIN, round(x(end) - x(each.starts_at), 3))
        start = min(x(each.starts_at), 100 - width)
        words = f"{each.kind}, {each.label}: {span(end - each.starts_at)}"
        return Bar(start, width, each.kind, words if each.ends_at is not None else f"{words} so far", each.sequence)

    return Lanes(
        lanes=tuple(Lane(name, tuple(bar(each) for each in timeline.spans if each.lane == name)) for name in names),
        marks=tuple(Mark(x(each.at), each, each.kind in TROUBLE) for each in timeline.marks),
        ticks=tuple(Tick(100 * n / TICKS, _since(length * n / TICKS)) for n in range(TICKS + 1)),
        now_x=x(timeline.state.at),
    )


def steps_of(timeline: reading.Timeline) -> Steps:
    steps, here = timeline.steps, timeline.state.sequence
    before, behind = bisect_left(steps, here), bisect_right(steps, here)
    return Steps(
        index=max(0, behind - 1),
        count=len(steps),
        earlier=steps[before - 1] if before > 0 else None,
        later=steps[behind] if behind < len(steps) else None,
    )


def state_rows(state: reading.State) -> list[StateRow]:
    return [StateRow(words, _shown(getattr(state, name)), name in state.changed) for name, words in STATE_ROWS]


def kinds_in(lanes: Sequence[Lane]) -> list[str]:
    """Return the kinds of bars that occur, for the legend."""
    return sorted({bar.kind for lane in lanes for bar in lane.bars})


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return str(value).replace("_", " ")


def _since(seconds: float) -> str:
    if seconds == 0:
        return "start"
    return f"+{seconds:.1f} s" if seconds < FINE_SECONDS else f"+{span(seconds)}"
