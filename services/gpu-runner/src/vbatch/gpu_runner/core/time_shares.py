"""Where the time of a runner goes: seconds in each activity, which add up to the time since it started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Activity(StrEnum):
    """What a runner does at one moment."""

    IDLE = "idle"
    """No work for it."""
    LOADING = "loading"
    """It waits for an engine to come up."""
    BUSY = "busy"
    """Requests are inside the engine."""
    HELD = "held"
    """Work waits, and nothing may be fed: the log takes no writes, or the lease is in doubt."""


@dataclass(slots=True)
class TimeShares:
    """`began_at` and all moments are seconds of any one clock that does not step."""

    began_at: float
    activity: Activity = Activity.IDLE
    _seconds: dict[Activity, float] = field(default_factory=lambda: dict.fromkeys(Activity, 0.0))

    def turn_to(self, activity: Activity, now: float) -> None:
        if activity is not self.activity:
            self._seconds[self.activity] += now - self.began_at
            self.activity, self.began_at = activity, now

    def seconds(self, now: float) -> Mapping[Activity, float]:
        """The seconds of all activities, the present one up to `now`."""
        current = self._seconds[self.activity] + max(0.0, now - self.began_at)
        return {**self._seconds, self.activity: current}
