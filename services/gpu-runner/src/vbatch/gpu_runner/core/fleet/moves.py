"""Whether the answer of a replica is the answer to a request, or the request goes to a replica again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vbatch.gpu_runner.core.retrying import BUSY_STATUSES

GATEWAY_STATUSES = frozenset({502, 504})
"""The gateway in front of a replica's servers did not reach any of them."""
REFUSALS_MAX = 16
"""A request that was refused more often is answered with the refusal."""
FAILURES_MAX = 8
UNREACHED_MAX = 32
PAUSE_MIN, PAUSE_MAX = 0.25, 5.0
"""Seconds before a request is sent again to a gateway that reached no server; doubled with each failure."""


class Move(StrEnum):
    FINAL = "final"
    AGAIN = "again"


@dataclass(slots=True)
class Moves:
    """How often one request was sent to a replica again, by reason; `pause` is the pause before the next time, in
    seconds."""

    refusals: int = 0
    failures: int = 0
    unreached_count: int = 0
    lost_count: int = 0
    pause: float = 0.0

    @staticmethod
    def is_refusal(status_code: int) -> bool:
        return status_code in BUSY_STATUSES

    def after(self, status_code: int, *, is_lost: bool) -> Move:
        """Judge an answer; `is_lost` says that its replica is no longer healthy."""
        self.pause = 0.0
        if self.is_refusal(status_code) and self.refusals < REFUSALS_MAX:
            self.refusals += 1
            return Move.AGAIN
        if (is_lost and status_code >= 500) and self.failures < FAILURES_MAX:
            self.failures += 1
            return Move.AGAIN
        if status_code in GATEWAY_STATUSES and self.failures < FAILURES_MAX:
            self.pause = min(PAUSE_MIN * 2.0**self.failures, PAUSE_MAX)
            self.failures += 1
            return Move.AGAIN
        return Move.FINAL

    def unreached(self) -> Move:
        """Judge a failed connection: no server has seen the request."""
        self.pause = 0.0
        self.unreached_count += 1
        return Move.AGAIN if self.unreached_count <= UNREACHED_MAX else Move.FINAL

    def lost(self, losses_max: int, *, has_other: bool) -> Move:
        """Judge a connection that was lost with the request on it. Where another replica answers, it may take the
        request at once."""
        self.lost_count += 1
        self.pause = 0.0 if has_other else PAUSE_MIN * self.lost_count
        return Move.AGAIN if self.lost_count <= losses_max else Move.FINAL
