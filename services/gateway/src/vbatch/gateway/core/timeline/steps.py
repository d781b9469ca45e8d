"""The input of a timeline: the events of a batch, its chunks, and the events of the runners in its time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vbatch.contracts import events as e
from vbatch.contracts.ids import SliceId
from vbatch.gateway.core.answer_lines import ChunkRecord

RUNNER_EVENTS = (e.ModelLoading, e.ModelLoaded, e.ModelFailed, e.EngineCrashed, e.ProfileLowered, e.RunnerLost)
RunnerTold = e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.EngineCrashed | e.ProfileLowered | e.RunnerLost


@dataclass(frozen=True, slots=True)
class Chunk:
    """Answers that were recorded together, of which `counted` counted; None while the read model is behind."""

    slice_id: SliceId
    counted: ChunkRecord | None


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the log, as the fold reads it."""

    sequence: int
    at: datetime
    event: e.BatchEvent | RunnerTold | Chunk


NAMES: dict[type[object], str] = {
    e.BatchCreated: "created",
    e.BatchValidated: "validated",
    e.BatchRejected: "rejected",
    e.BatchCancelRequested: "cancel requested",
    e.BatchPaused: "paused",
    e.BatchResumed: "resumed",
    e.BatchPriorityChanged: "priority changed",
    e.BatchFinalizing: "finalizing",
    e.BatchCompleted: "completed",
    e.BatchCancelled: "cancelled",
    e.BatchExpired: "expired",
    e.BatchDispatched: "dispatched",
    e.SliceReturned: "slice returned",
    e.ModelLoading: "model loading",
    e.ModelLoaded: "model loaded",
    e.ModelFailed: "model failed",
    e.EngineCrashed: "engine crashed",
    e.ProfileLowered: "profile lowered",
    e.RunnerLost: "runner lost",
    Chunk: "answers recorded",
}


def name_of(event: object) -> str:
    return NAMES[type(event)]
