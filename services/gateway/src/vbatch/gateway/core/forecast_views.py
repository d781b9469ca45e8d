"""The forecast of batches as their owner may see it: times, places and sentences; other owners' batches are only
counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict

from pydantic import BaseModel

from vbatch.contracts.forecast import DeviceForecast, Explanation, Forecast, ForecastEntry
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.lifecycle import STEERABLE, BatchStatus
from vbatch.gateway.core.queue_pause import QueuePause
from vbatch.gateway.core.records import BatchRecord

RUNNING = QueuePause()
WITHOUT_SCHEDULER = {
    BatchStatus.VALIDATING: "the scheduler to plan it",
    BatchStatus.IN_PROGRESS: "the scheduler to plan it",
    BatchStatus.CANCELLING: "its files to be written: it is being cancelled",
    BatchStatus.FINALIZING: "its files to be written: all its requests are done",
}
"""What an unfinished batch waits for if the scheduler does not know the batch yet, or no longer."""


class EtaObject(BaseModel):
    """When the last answer is expected, in Unix seconds; a guess while a model has few measurements."""

    earliest: int
    likely: int
    latest: int
    is_guess: bool


class AdmissionObject(BaseModel):
    """Whether the batch is expected to end within its completion window, and the shortest window that it would meet."""

    feasible: bool
    earliest_completion_window: str | None


class BatchForecastObject(BaseModel):
    """All fields are null without a forecast: the batch is over or paused, or the scheduler does not answer."""

    queue_position: int | None = None
    eta: EtaObject | None = None
    requests_per_second: float | None = None
    waiting_for: str | None = None
    admission: AdmissionObject | None = None


class QueueEntryObject(BatchForecastObject):
    object: Literal["queue.entry"] = "queue.entry"
    batch_id: str
    model: str | None
    status: BatchStatus
    priority: int
    waiting_requests: int
    starts_at: int | None


class OthersObject(BaseModel):
    batches: int
    waiting_requests: int


class StayObject(BaseModel):
    """A model on a device: it is loading from `loads_at` to `starts_at`, which are equal if it is loaded already, and
    stays until `ends_at`."""

    model: str
    loads_at: int
    starts_at: int
    ends_at: int


class DeviceObject(BaseModel):
    """What a runner is expected to do, for all owners; `more` further stays are not listed."""

    runner_id: str
    stays: list[StayObject]
    more: int


class QueueObject(BaseModel):
    """Your unfinished batches in the order they run; the missing positions are other owners' batches. `paused_at` is
    set while all work of every owner is paused."""

    object: Literal["queue"] = "queue"
    as_of: int
    paused_at: int | None = None
    pause_reason: str | None = None
    data: list[QueueEntryObject]
    others: OthersObject
    devices: list[DeviceObject] = []


class WhyObject(BatchForecastObject):
    """`runs_first` holds your own batches that run before this one; `others_first` counts those of other owners."""

    object: Literal["batch.why"] = "batch.why"
    batch_id: str
    status: BatchStatus
    as_of: int
    starts_at: int | None = None
    waiting_requests: int | None = None
    work_seconds: float | None = None
    reason: str | None = None
    runs_first: list[str] = []
    others_first: int = 0
    remedies: list[str] = []


def forecast_view(batch: BatchRecord, foreseen: ForecastEntry | None) -> BatchForecastObject:
    """Combine a batch with its forecast, which is slightly older: the batch's own state takes precedence."""
    if batch.status not in STEERABLE or foreseen is None:
        return BatchForecastObject()
    if (batch.paused_at is not None) != foreseen.is_paused:
        return BatchForecastObject(requests_per_second=foreseen.requests_per_second)
    return BatchForecastObject(**_forecast(foreseen))


def queue_view(owner: OwnerId, forecast: Forecast, pause: QueuePause = RUNNING) -> QueueObject:
    own = [batch for batch in forecast.batches if batch.owner == owner]
    others = [batch for batch in forecast.batches if batch.owner != owner]
    in_order = sorted(own, key=lambda entry: (entry.position is None, entry.position or 0))
    return QueueObject(
        as_of=_seconds(forecast.at),
        paused_at=_seconds_or_none(pause.paused_at),
        pause_reason=pause.reason or None,
        data=[_entry(entry) for entry in in_order],
        others=_others(others, forecast.more),
        devices=[_device(device) for device in forecast.devices],
    )


def _others(batches: Sequence[ForecastEntry], more: int) -> OthersObject:
    """Count the batches of other owners; `more` counts those that the forecast left out."""
    waiting = sum(batch.waiting_requests for batch in batches)
    return OthersObject(batches=len(batches) + more, waiting_requests=waiting)


def _device(device: DeviceForecast) -> DeviceObject:
    stays = [
        StayObject(
            model=stay.model,
            loads_at=_seconds(stay.loads_at),
            starts_at=_seconds(stay.starts_at),
            ends_at=_seconds(stay.ends_at),
        )
        for stay in device.stays
    ]
    return DeviceObject(runner_id=device.runner_id, stays=stays, more=device.more)


def why_view(owner: OwnerId, batch: BatchRecord, told: Explanation | None, now: datetime) -> WhyObject:
    if batch.is_over or told is None:
        return _without_scheduler(batch, now)
    own = [ahead.batch_id for ahead in told.runs_first if ahead.owner == owner]
    seen = told.batch
    return WhyObject(
        batch_id=batch.id,
        status=batch.status,
        as_of=_seconds(told.at),
        starts_at=_seconds_or_none(seen.starts_at),
        waiting_requests=seen.waiting_requests,
        work_seconds=seen.work_seconds,
        reason=seen.reason or None,
        runs_first=[str(entry) for entry in own],
        others_first=len(told.runs_first) - len(own) + told.more_first,
        remedies=list(told.remedies),
        **_forecast(seen),
    )


def _without_scheduler(batch: BatchRecord, now: datetime) -> WhyObject:
    words = f"nothing: it is {batch.status}" if batch.is_over else WITHOUT_SCHEDULER[batch.status]
    return WhyObject(batch_id=batch.id, status=batch.status, as_of=_seconds(now), waiting_for=words)


def _entry(entry: ForecastEntry) -> QueueEntryObject:
    return QueueEntryObject(
        batch_id=entry.batch_id,
        model=entry.model,
        status=entry.status,
        priority=entry.priority,
        waiting_requests=entry.waiting_requests,
        starts_at=_seconds_or_none(entry.starts_at),
        **_forecast(entry),
    )


class _Forecast(TypedDict):
    queue_position: int | None
    eta: EtaObject | None
    requests_per_second: float | None
    waiting_for: str
    admission: AdmissionObject | None


def _forecast(entry: ForecastEntry) -> _Forecast:
    return _Forecast(
        queue_position=entry.position,
        eta=_eta(entry),
        requests_per_second=entry.requests_per_second,
        waiting_for=entry.waits_for,
        admission=_admission(entry),
    )


def _eta(entry: ForecastEntry) -> EtaObject | None:
    if entry.ends_at is None or entry.ends_at_earliest is None or entry.ends_at_latest is None:
        return None
    return EtaObject(
        earliest=_seconds(entry.ends_at_earliest),
        likely=_seconds(entry.ends_at),
        latest=_seconds(entry.ends_at_latest),
        is_guess=entry.is_guess,
    )


def _admission(entry: ForecastEntry) -> AdmissionObject | None:
    if entry.admission is None:
        return None
    return AdmissionObject(
        feasible=entry.admission.feasible, earliest_completion_window=entry.admission.earliest_completion_window
    )


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _seconds_or_none(at: datetime | None) -> int | None:
    return _seconds(at) if at is not None else None
