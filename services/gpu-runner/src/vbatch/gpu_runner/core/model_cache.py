"""Which models stay loaded beside the wanted one, which sleep and which stop: pure arithmetic of memory.

A sleeping model keeps its weights in the machine's memory. Past versions of vLLM answered garbage after some sleep
cycles and left more and more on the device; so a model is restarted after a number of wakes, or when it leaves more
than at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from vbatch.contracts.ids import ModelId

WAKES_MAX = 20
RESIDUE_GROWTH_MAX = 0.05
"""The permitted growth, as a share of what the first sleep left on the device."""
RESIDUE_TOLERANCE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Need:
    """The memory of a loaded model, in bytes. None for the device: it is unknown, so no model may be loaded beside it.

    While the model sleeps, `residue_bytes` stay on the device and `host_bytes` of the machine's memory hold its
    weights.
    """

    device_bytes: int | None
    residue_bytes: int = 0
    host_bytes: int = 0


NOTHING = Need(0)
"""The need of a model that is served elsewhere."""


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A loaded model that is not in use; `used_at` is in seconds of any one clock."""

    model: ModelId
    need: Need
    used_at: float
    is_asleep: bool = False
    can_sleep: bool = False
    is_pinned: bool = False


@dataclass(frozen=True, slots=True)
class DeviceBudget:
    """The available memory: `free_bytes` of the device now, with all cached models loaded; None if it is unknown."""

    free_bytes: int | None
    host_free_bytes: int
    residents_max: int
    sleepers_max: int


class Measure(StrEnum):
    STOP = "stop"
    SLEEP = "sleep"


@dataclass(frozen=True, slots=True)
class Step:
    model: ModelId
    measure: Measure


def make_space(wanted: Need, model_cache: Sequence[CachedModel], room: DeviceBudget) -> list[Step]:
    """Return the steps that make space for the wanted model: least recently used first, pinned ones last, and no more
    than needed.

    They may not be enough; the engine then reports it.
    """
    left, steps = sorted(model_cache, key=lambda cached: (cached.is_pinned, cached.used_at)), list[Step]()
    while left and not _fits(wanted, left, room):
        oldest = next((candidate for candidate in left if not candidate.is_asleep), left[0])
        step, left, room = _move_over(oldest, left, room)
        steps += step
    return steps


def residue_grows(first_bytes: int, now_bytes: int) -> bool:
    return now_bytes > first_bytes * (1 + RESIDUE_GROWTH_MAX) + RESIDUE_TOLERANCE_BYTES


def _fits(wanted: Need, model_cache: Sequence[CachedModel], room: DeviceBudget) -> bool:
    awake = [cached for cached in model_cache if not cached.is_asleep]
    if len(awake) + 1 > room.residents_max or sum(cached.is_asleep for cached in model_cache) > room.sleepers_max:
        return False
    if wanted.device_bytes is None or any(cached.need.device_bytes is None for cached in awake):
        return not awake
    return room.free_bytes is None or wanted.device_bytes <= room.free_bytes


def _move_over(
    oldest: CachedModel, model_cache: list[CachedModel], room: DeviceBudget
) -> tuple[list[Step], list[CachedModel], DeviceBudget]:
    """Put one cached model to sleep or stop it; also stop the oldest sleeper if there would be too many."""
    others = [cached for cached in model_cache if cached is not oldest]
    if not oldest.is_asleep and _may_sleep(oldest, room):
        asleep = replace(oldest, is_asleep=True)
        left = [*others, asleep]
        freed = _freed(oldest.need.device_bytes, oldest.need.residue_bytes)
        room = _more_free(replace(room, host_free_bytes=room.host_free_bytes - oldest.need.host_bytes), freed)
        return [Step(oldest.model, Measure.SLEEP)], left, room
    freed = oldest.need.residue_bytes if oldest.is_asleep else _freed(oldest.need.device_bytes, 0)
    return [Step(oldest.model, Measure.STOP)], others, _more_free(room, freed)


def _may_sleep(resident: CachedModel, room: DeviceBudget) -> bool:
    return resident.can_sleep and room.sleepers_max > 0 and resident.need.host_bytes <= room.host_free_bytes


def _freed(device_bytes: int | None, residue_bytes: int) -> int:
    return max(0, (device_bytes or 0) - residue_bytes)


def _more_free(room: DeviceBudget, freed_bytes: int) -> DeviceBudget:
    return room if room.free_bytes is None else replace(room, free_bytes=room.free_bytes + freed_bytes)
