"""Whether an answer is the last word on a request, or the request is sent again, and after which pause.

An engine that is busy is asked often; one that broke on a request a few times only, since it may break each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from vbatch.contracts.limits import RETRY_AFTER_BYTES_MAX
from vbatch.gpu_runner.core.limits import Limits

BUSY_STATUSES = frozenset({429, 503, 529})
"""Come back later."""
BROKEN_STATUSES = frozenset({500, 502, 504})
"""Something failed that may not fail again."""
DOUBLINGS_MAX = 16


@dataclass(slots=True)
class Tries:
    """How often one request was sent again so far, by reason."""

    busy: int = 0
    broken: int = 0

    def pause_before_next(self, status_code: int, retry_after: float | None, limits: Limits) -> float | None:
        """Count one more try and return the seconds to wait before it; None when the answer stands."""
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
    """Seconds from now, of a number or a date (RFC 9110, 10.2.3); None for neither and for what lies behind us."""
    if header is None or len(header) > RETRY_AFTER_BYTES_MAX:
        return None
    seconds = _seconds(header.strip(), now)
    return seconds if seconds is not None and 0 < seconds < float("inf") else None


def _seconds(text: str, now: datetime) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass  # no number: it may be a date
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no date, or one of a year that no clock shows
        return None
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
