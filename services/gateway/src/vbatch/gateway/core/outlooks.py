"""What is foretold of batches, as their owner may see it: times, places and sentences; of others' batches only how many
there are."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

from pydantic import BaseModel

from vbatch.contracts.forecast import Explanation, Forecast, Foreseen
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.lifecycle import STEERABLE, BatchStatus
from vbatch.gateway.core.records import BatchRecord

WITHOUT_SCHEDULER = {
    BatchStatus.VALIDATING: "the scheduler, to hear of it",
    BatchStatus.IN_PROGRESS: "the scheduler, to hear of it",
    BatchStatus.CANCELLING: "its files, which are being written: it is being cancelled",
    BatchStatus.FINALIZING: "its files, which are being written: every line has its answer or its end",
}
"""What an unfinished batch waits for that the scheduler does not have, or no longer."""


class EtaObject(BaseModel):
    """When the last answer is foretold, in Unix seconds; a guess while too little was measured of a model."""

    earliest: int
    likely: int
    latest: int
    is_guess: bool


class AdmissionObject(BaseModel):
    """Whether the batch will end within its window, as things stand, and the shortest window that it would keep."""

    feasible: bool
    earliest_completion_window: str | None


class OutlookObject(BaseModel):
    """All null where nothing is foretold: the batch is over, or paused, or the scheduler does not answer."""

    queue_position: int | None = None
    eta: EtaObject | None = None
    requests_per_second: float | None = None
    waiting_for: str | None = None
    admission: AdmissionObject | None = None


class QueueEntryObject(OutlookObject):
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


class QueueObject(BaseModel):
    """The asker's unfinished batches in the order they run; the numbers between are others'."""

    object: Literal["queue"] = "queue"
    as_of: int
    data: list[QueueEntryObject]
    others: OthersObject


class WhyObject(OutlookObject):
    """`runs_first` are the asker's own batches that come before, `others_first` is how many of others' do."""

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


def outlook_view(batch: BatchRecord, foreseen: Foreseen | None) -> OutlookObject:
    """A forecast is a moment old: what the batch itself says counts more."""
    if batch.status not in STEERABLE or foreseen is None:
        return OutlookObject()
    if (batch.paused_at is not None) != foreseen.is_paused:
        return OutlookObject(requests_per_second=foreseen.requests_per_second)
    return OutlookObject(**_outlook(foreseen))


def queue_view(owner: OwnerId, forecast: Forecast) -> QueueObject:
    own = [it for it in forecast.batches if it.owner == owner]
    others = [it for it in forecast.batches if it.owner != owner]
    in_order = sorted(own, key=lambda it: (it.position is None, it.position or 0))
    return QueueObject(
        as_of=_seconds(forecast.at),
        data=[_entry(it) for it in in_order],
        others=OthersObject(
            batches=len(others) + forecast.more, waiting_requests=sum(it.waiting_requests for it in others)
        ),
    )


def why_view(owner: OwnerId, batch: BatchRecord, told: Explanation | None, now: datetime) -> WhyObject:
    if batch.is_over or told is None:
        return _without_scheduler(batch, now)
    own = [it.batch_id for it in told.runs_first if it.owner == owner]
    seen = told.batch
    return WhyObject(
        batch_id=batch.id,
        status=batch.status,
        as_of=_seconds(told.at),
        starts_at=_seconds_or_none(seen.starts_at),
        waiting_requests=seen.waiting_requests,
        work_seconds=seen.work_seconds,
        reason=seen.reason or None,
        runs_first=[str(it) for it in own],
        others_first=len(told.runs_first) - len(own) + told.more_first,
        remedies=list(told.remedies),
        **_outlook(seen),
    )


def _without_scheduler(batch: BatchRecord, now: datetime) -> WhyObject:
    words = f"nothing: it is {batch.status}" if batch.is_over else WITHOUT_SCHEDULER[batch.status]
    return WhyObject(batch_id=batch.id, status=batch.status, as_of=_seconds(now), waiting_for=words)


def _entry(it: Foreseen) -> QueueEntryObject:
    return QueueEntryObject(
        batch_id=it.batch_id,
        model=it.model,
        status=it.status,
        priority=it.priority,
        waiting_requests=it.waiting_requests,
        starts_at=_seconds_or_none(it.starts_at),
        **_outlook(it),
    )


class _Outlook(TypedDict):
    queue_position: int | None
    eta: EtaObject | None
    requests_per_second: float | None
    waiting_for: str
    admission: AdmissionObject | None


def _outlook(it: Foreseen) -> _Outlook:
    return _Outlook(
        queue_position=it.position,
        eta=_eta(it),
        requests_per_second=it.requests_per_second,
        waiting_for=it.waits_for,
        admission=_admission(it),
    )


def _eta(it: Foreseen) -> EtaObject | None:
    if it.ends_at is None or it.ends_at_earliest is None or it.ends_at_latest is None:
        return None
    return EtaObject(
        earliest=_seconds(it.ends_at_earliest),
        likely=_seconds(it.ends_at),
        latest=_seconds(it.ends_at_latest),
        is_guess=it.is_guess,
    )


def _admission(it: Foreseen) -> AdmissionObject | None:
    if it.admission is None:
        return None
    return AdmissionObject(
        feasible=it.admission.feasible, earliest_completion_window=it.admission.earliest_completion_window
    )


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _seconds_or_none(at: datetime | None) -> int | None:
    return _seconds(at) if at is not None else None
