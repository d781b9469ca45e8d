"""Decides whether an answer is final, or the request is sent again, and after which pause.

A busy engine is tried often; an engine that failed on a request only a few times, since each try may make it fail
again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from vbatch.contracts.limits import RETRY_AFTER_BYTES_MAX
from vbatch.gpu_runner.core.limits import Limits

BUSY_STATUSES = frozenset({429, 503, 529})
"""The server asks to try again later."""
BROKEN_STATUSES = frozenset({500, 502, 504})
"""An error that may not happen again."""
DOUBLINGS_MAX = 16


@dataclass(slots=True)
class Tries:
    """How often one request has been sent again, by reason."""

    busy: int = 0
    broken: int = 0

    def pause_before_next(self, status_code: int, retry_after: float | None, limits: Limits) -> float | None:
        """Count one more try and return the seconds to wait before it; None if the answer is final."""
        if status_code in BUSY_STATUSES and self.busy < limits.busy_retries_max:
            self.busy += 1
        elif status_code in BROKEN_STATUSES and self.broken < limits.broken_retries_max:
            self.broken += 1
        else:
            return None
        if retry_after is not None:
            return min(retry_after, limits.retry_after_seconds_max)
        doublings = min(self.busy + self.broken - 1, DOUBLINGS_MAX)
        return min(limits.busy_pause_seconds * 2.0**doublings, limits.busy_pause_seconds_max)


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds from now, from a number or a date (RFC 9110, 10.2.3); None if it is neither or in the past."""
    if header is None or len(header) > RETRY_AFTER_BYTES_MAX:
        return None
    seconds = _seconds(header.strip(), now)
    return seconds if seconds is not None and 0 < seconds < float("inf") else None


def _seconds(text: str, now: datetime) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass  # not a number: it may be a date
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # not a date, or a year out of range
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
