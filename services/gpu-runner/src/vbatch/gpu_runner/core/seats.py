"""How many batch requests may be inside the engine while clients wait for answers of their own.

Interactive requests are never held back by batch requests: they take their places first. An engine that schedules by
priority runs them before all that wait in it. In any other engine, no batch request may wait and a seat stays free, so
that the next interactive request runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from vbatch.gpu_runner.core.concurrency import WINDOW_SPARE_MIN

ACTIVE_SECONDS = 10.0
"""How long after the last interactive request seats stay reserved for the next one."""
SEATS_SHARE = 16
"""One seat in this many is reserved, and at least one."""


@dataclass(frozen=True, slots=True)
class LaneLoad:
    """`inside` interactive requests run; `is_active` says that one ran within ACTIVE_SECONDS."""

    inside: int
    is_active: bool


def batch_places(size: int, running_max: int, load: LaneLoad, *, has_priority: bool) -> int:
    """Return how many batch requests may be inside. `size` is the limit without interactive requests, `running_max` the
    number of requests that the engine runs at once."""
    if not load.is_active:
        return size
    if has_priority:
        return max(1, size - load.inside)
    seats = max(load.inside + 1, running_max // SEATS_SHARE)
    return max(1, min(size, running_max) - seats)


def running_max_of(concurrency: int) -> int:
    """Return how many requests the engine runs at once: the inverse of `concurrency_for`."""
    plain = concurrency - WINDOW_SPARE_MIN
    return plain if plain <= 4 * WINDOW_SPARE_MIN else -(-concurrency * 4 // 5)
