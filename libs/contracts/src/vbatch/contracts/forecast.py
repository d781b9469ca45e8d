"""The scheduler's forecast for the pending batches, as it sends it to the gateway.

A forecast is not an event: it is valid only for a moment, and it can be computed again from the log.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from vbatch.contracts.ids import BatchId, ModelId, OwnerId, RunnerId
from vbatch.contracts.lifecycle import BatchStatus


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a batch is forecast to end within its completion window. `earliest_completion_window`, in the form that
    `POST /v1/batches` accepts, is the shortest window that it keeps even with the latest forecast end; None if no
    window is long enough."""

    feasible: bool
    earliest_completion_window: str | None


class ForecastEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of the queue. A value without a forecast is None, and so is `starts_at` of a batch that has begun.

    `position` is 0 for a batch that is on a device, 1 for the next. `requests_per_second` is the recent rate.
    `is_guess` says that a model on which the end depends was measured too little so far. `waits_for` completes the
    sentence "it waits for".
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


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """A model on a device, in the forecast. It is loaded from `loads_at` to `starts_at`, which are equal if it is
    loaded already, and it serves until `ends_at`."""

    model: ModelId
    loads_at: datetime
    starts_at: datetime
    ends_at: datetime


class DeviceForecast(msgspec.Struct, frozen=True, kw_only=True):
    """What one runner is expected to do. `more` is the number of further stays that are not listed."""

    runner_id: RunnerId
    stays: tuple[Stay, ...]
    more: int = 0


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """The queue at one moment, ordered by forecast end. `more` batches are not listed."""

    at: datetime
    batches: tuple[ForecastEntry, ...]
    more: int = 0
    devices: tuple[DeviceForecast, ...] = ()


class BatchAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is forecast to start before another one."""

    batch_id: BatchId
    owner: OwnerId


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a batch has its place in the queue: the batches that come before it, of which `more_first` are not named, and
    sentences that say what would change its place."""

    at: datetime
    batch: ForecastEntry
    runs_first: tuple[BatchAhead, ...] = ()
    more_first: int = 0
    remedies: tuple[str, ...] = ()
