"""How often an owner may ask: a bucket of as many asks as a minute allows, filled again at an even rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from vbatch.contracts.ids import OwnerId

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to an owner after an ask. `wait_seconds` is 0 when the ask was allowed."""

    limit: int
    remaining: int
    full_in_seconds: float
    wait_seconds: float

    def headers(self) -> dict[str, str]:
        """As OpenAI's inference routes tell it: durations have a unit."""
        told = {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": f"{self.full_in_seconds:.3f}s",
        }
        return told | ({"retry-after": str(math.ceil(self.wait_seconds))} if self.wait_seconds else {})


class RateLimit:
    """One bucket for each owner; `per_minute` 0 limits nothing. Owners are those of the key file, so they are few."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: dict[OwnerId, tuple[float, datetime]] = {}

    def take(self, owner: OwnerId, now: datetime) -> Allowance | None:
        """Count one ask; None when nothing is limited. A clock that went back gives nothing and takes nothing."""
        if self._per_minute == 0:
            return None
        level, at = self._buckets.get(owner, (float(self._per_minute), now))
        seconds = max(0.0, (now - at).total_seconds())
        level = min(float(self._per_minute), level + seconds * self._per_minute / MINUTE)
        is_allowed = level >= 1.0
        self._buckets[owner] = (level - is_allowed, now)
        return self._allowance(level - is_allowed, is_allowed)

    def _allowance(self, level: float, is_allowed: bool) -> Allowance:
        per_second = self._per_minute / MINUTE
        return Allowance(
            limit=self._per_minute,
            remaining=int(level),
            full_in_seconds=(self._per_minute - level) / per_second,
            wait_seconds=0.0 if is_allowed else (1.0 - level) / per_second,
        )
