"""The expected work of each device, on the axis of the queue; and the effect of another priority of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vbatch.console.core.api_objects import Queue
from vbatch.console.core.bars import Axis
from vbatch.console.core.reading_objects import DevicePlan
from vbatch.console.core.wording import span
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN

WIDTH_MIN = 0.4
LABEL_WIDTH_MIN = 12.0
"""Percent: a narrower bar has no room for the name of its model."""
STAYS_SHOWN = 60
DIGITS_MAX = 4
SAME_SECONDS = 5
"""Two forecasts made a moment apart may differ by this much for no reason."""


@dataclass(frozen=True, slots=True)
class StayBar:
    """`load_width` is the gap before the bar, in which the model is loaded."""

    model: str
    load_x: float
    load_width: float
    x: float
    width: float
    words: str

    @property
    def has_label(self) -> bool:
        return self.width >= LABEL_WIDTH_MIN


@dataclass(frozen=True, slots=True)
class DeviceLane:
    runner_id: str
    bars: tuple[StayBar, ...]
    swap_count: int
    more: int


@dataclass(frozen=True, slots=True)
class Change:
    """The question: what if this batch had this priority?"""

    batch_id: str
    priority: int


@dataclass(frozen=True, slots=True)
class Effect:
    """When a batch would end, and how many seconds later (earlier, if negative) that is than its current end."""

    batch_id: str
    name: str
    ends_at: int
    later_seconds: int

    @property
    def words(self) -> str:
        if abs(self.later_seconds) < SAME_SECONDS:
            return "as now"
        return f"{span(abs(self.later_seconds))} {'later' if self.later_seconds > 0 else 'sooner'}"


@dataclass(frozen=True, slots=True)
class Tried:
    """The effects, with the batch that was asked about first."""

    change: Change
    name: str
    effects: tuple[Effect, ...]


def lanes_of(plans: Sequence[DevicePlan], axis: Axis) -> tuple[DeviceLane, ...]:
    return tuple(_lane(plan, axis) for plan in plans)


def wanted_change(query: Mapping[str, str]) -> Change | None:
    """Return the change that an address asks to try; None if it asks for none, or for one that is not valid."""
    batch_id, text = query.get("try", ""), query.get("priority", "")
    digits = text.removeprefix("-")
    if not batch_id or not (digits.isascii() and digits.isdigit() and len(text) <= DIGITS_MAX):
        return None
    return Change(batch_id, max(PRIORITY_MIN, min(PRIORITY_MAX, int(text))))


def tried_of(change: Change, now: Queue, then: Queue, names: Mapping[str, str]) -> Tried:
    before = {entry.batch_id: entry.eta for entry in now.data}
    effects = [
        Effect(
            entry.batch_id, names.get(entry.batch_id, entry.batch_id), entry.eta.likely, entry.eta.likely - was.likely
        )
        for entry in then.data
        if entry.eta is not None and (was := before.get(entry.batch_id)) is not None
    ]
    effects.sort(key=lambda effect: (effect.batch_id != change.batch_id, effect.ends_at))
    return Tried(change, names.get(change.batch_id, change.batch_id), tuple(effects))


def _lane(plan: DevicePlan, axis: Axis) -> DeviceLane:
    bars = tuple(
        _bar(stay.model, stay.loads_at, stay.starts_at, stay.ends_at, axis) for stay in plan.stays[:STAYS_SHOWN]
    )
    swaps = sum(stay.starts_at > stay.loads_at for stay in plan.stays)
    return DeviceLane(plan.runner_id, bars, swaps, plan.more + max(0, len(plan.stays) - STAYS_SHOWN))


def _bar(model: str, loads_at: int, starts_at: int, ends_at: int, axis: Axis) -> StayBar:
    loads, starts, ends = axis.x(loads_at), axis.x(starts_at), axis.x(ends_at)
    loading = f", after {span(starts_at - loads_at)} of loading" if starts_at > loads_at else ""
    return StayBar(
        model=model,
        load_x=loads,
        load_width=round(starts - loads, 2),
        x=starts,
        width=max(WIDTH_MIN, round(ends - starts, 2)),
        words=f"{model} for {span(ends_at - starts_at)}{loading}",
    )
