"""What the scheduler foretells of the pending batches, as it goes from there to the gateway. No event: it is true only
for a moment, and made again from the log."""

from __future__ import annotations

from datetime import datetime

import msgspec

from vbatch.contracts.ids import BatchId, ModelId, OwnerId
from vbatch.contracts.lifecycle import BatchStatus


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a batch will end within its window, as things stand. `earliest_completion_window` is the shortest one it
    would keep even if all takes as long as it may, as `POST /v1/batches` takes it; None when none is long enough."""

    feasible: bool
    earliest_completion_window: str | None


class ForecastEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of the queue. What is not foretold is None; so is `starts_at` of what has begun.

    `position` is 0 for a batch that is on a device, 1 for the next. `requests_per_second` is what came lately.
    `is_guess`: too little was measured yet of a model that its end depends on. `waits_for` completes the sentence
    "it waits for".
    """

    batch_id: BatchId
    owner: OwnerId
    model: ModelId | None
    status: BatchStatus
    priority: int
    is_paused: bool
    waiting_requests: int
    runs_now: bool
    position: int | None = None
    requests_per_second: float | None = None
    work_seconds: float | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    ends_at_earliest: datetime | None = None
    ends_at_latest: datetime | None = None
    is_guess: bool = False
    admission: Admission | None = None
    reason: str = ""
    waits_for: str = ""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The queue at one moment, what ends first in front; `more` batches are not listed."""

    at: datetime
    batches: tuple[ForecastEntry, ...]
    more: int = 0


class BatchAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is foretold to start sooner than another."""

    batch_id: BatchId
    owner: OwnerId


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why one batch stands where it stands: which come before, `more_first` of them not named, and what would change
    that, in sentences."""

    at: datetime
    batch: ForecastEntry
    runs_first: tuple[BatchAhead, ...] = ()
    more_first: int = 0
    remedies: tuple[str, ...] = ()
