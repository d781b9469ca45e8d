"""Whether the forecast says that a batch keeps its window, and which window it could keep. No batch is refused because
of it: the forecast may be wrong, and the owner may still want the answers that are done by then."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from vbatch.contracts.completion_window import window_of
from vbatch.contracts.forecast import Admission


def admission(*, created: datetime, expires: datetime, likely_end: datetime, latest_end: datetime) -> Admission:
    """The admission of a batch. A window is counted from the creation of the batch, in whole hours."""
    hours = max(1, ceil((latest_end - created) / timedelta(hours=1)))
    return Admission(
        feasible=likely_end <= expires,
        earliest_completion_window=window_of(hours),
    )
