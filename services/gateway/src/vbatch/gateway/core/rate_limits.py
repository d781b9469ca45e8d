"""Rate limits: a bucket of as many requests as a minute allows, which refills at an even rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vbatch.gateway.core.access import Access

MINUTE = 60.0
HOLDERS_MAX = 20_000
"""The most buckets kept at once, those used last: the number of keys is bounded, the number of addresses is not."""
FAILED_KEYS_PER_MINUTE = 20
"""Wrong keys a minute from one address."""


class Limited(StrEnum):
    """What is counted for each key; the value is the field of contracts.access.RateLimits and of the settings."""

    CREATES = "creates_per_minute_max"
    UPLOADS = "uploads_per_minute_max"
    READS = "reads_per_minute_max"
    BYTES = "bytes_per_minute_max"

    @property
    def unit(self) -> str:
        return "bytes" if self is Limited.BYTES else "requests"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a request. `wait_seconds` is 0 when the request was allowed."""

    limit: int
    remaining: int
    full_in_seconds: float
    wait_seconds: float

    def headers(self, unit: str = "requests") -> dict[str, str]:
        """Return the headers of OpenAI's inference routes, whose durations have a unit."""
        told = {
            f"x-ratelimit-limit-{unit}": str(self.limit),
            f"x-ratelimit-remaining-{unit}": str(self.remaining),
            f"x-ratelimit-reset-{unit}": f"{self.full_in_seconds:.3f}s",
        }
        return told | ({"retry-after": str(math.ceil(self.wait_seconds))} if self.wait_seconds else {})


class RateLimit:
    """One bucket for each holder; `per_minute` 0 means no limit. The limit may be changed: buckets keep their level."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._buckets: dict[str, tuple[float, datetime]] = {}

    def take(self, holder: str, now: datetime) -> Allowance | None:
        """Count one request; None if there is no limit. A clock that was set back neither adds nor removes tokens."""
        if self.per_minute == 0:
            return None
        level = self._level(holder, now)
        is_allowed = level >= 1.0
        self._keep(holder, level - is_allowed, now)
        return self._allowance(level - is_allowed, is_allowed)

    def has_charged(self, holder: str) -> bool:
        """Whether anything was counted for this holder that may still be missing from its bucket."""
        return holder in self._buckets

    def look(self, holder: str, now: datetime) -> Allowance | None:
        """Return what `take` would, but count nothing; the amount is charged later, once it is known."""
        if self.per_minute == 0:
            return None
        level = self._level(holder, now)
        return self._allowance(level, level >= 1.0)

    def charge(self, holder: str, amount: float, now: datetime) -> None:
        """Count this amount, even if it is more than what is left: the holder then waits until the debt is paid."""
        if self.per_minute:
            self._keep(holder, self._level(holder, now) - amount, now)

    def _level(self, holder: str, now: datetime) -> float:
        level, at = self._buckets.get(holder, (float(self.per_minute), now))
        seconds = max(0.0, (now - at).total_seconds())
        return min(float(self.per_minute), level + seconds * self.per_minute / MINUTE)

    def _keep(self, holder: str, level: float, now: datetime) -> None:
        self._buckets.pop(holder, None)
        self._buckets[holder] = (level, now)
        if len(self._buckets) > HOLDERS_MAX:
            del self._buckets[next(iter(self._buckets))]

    def _allowance(self, level: float, is_allowed: bool) -> Allowance:
        per_second = self.per_minute / MINUTE
        return Allowance(
            limit=self.per_minute,
            remaining=max(0, int(level)),
            full_in_seconds=(self.per_minute - level) / per_second,
            wait_seconds=0.0 if is_allowed else (1.0 - level) / per_second,
        )


class KeyLimits:
    """The buckets of all keys, under the limits that are in force: from the settings (`pinned`), otherwise from the
    log."""

    def __init__(self, access: Access, pinned: Mapping[Limited, int]) -> None:
        self.pinned = pinned
        self._access = access
        self._buckets = {limited: RateLimit(0) for limited in Limited}

    def in_force(self, limited: Limited) -> int:
        logged: int = getattr(self._access.limits, limited)
        return self.pinned.get(limited, logged)

    def of(self, limited: Limited) -> RateLimit:
        bucket = self._buckets[limited]
        bucket.per_minute = self.in_force(limited)
        return bucket
