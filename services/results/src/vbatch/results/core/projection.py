"""The read model after an event: folds the log, in order, into a bounded set of row changes.

The rules of status and counting are in `contracts.lifecycle`. Nothing here reads a clock: the same log gives the same
rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId
from vbatch.contracts.lifecycle import TERMINAL
from vbatch.contracts.read_model.rows import BatchRow, FileRow, ModelRow, OutcomeRow, RunnerRow
from vbatch.results.core import batches, runners
from vbatch.results.core.batches import OpenBatch
from vbatch.results.core.curation import CurationChanges, project_curation
from vbatch.results.core.impossible_event import ImpossibleEvent


@dataclass
class State:
    """What folding needs to know of everything up to `sequence`: batches that have not ended, and runners.

    `folder` holds the growing JSONL of this read model.
    """

    sequence: int = 0
    folder: str = ""
    batches: dict[BatchId, OpenBatch] = field(default_factory=dict)
    runners: dict[RunnerId, RunnerRow] = field(default_factory=dict)


@dataclass(frozen=True)
class Growth:
    """The lines to add to the growing JSONL of one batch, from byte `start`."""

    start: int
    lines: list[bytes] = field(default_factory=list)


@dataclass
class Changes:
    """What one transaction writes. Deletions apply after the files, removals after the models."""

    sequence: int = 0
    batches: dict[BatchId, BatchRow] = field(default_factory=dict)
    files: dict[FileId, FileRow] = field(default_factory=dict)
    deletions: dict[FileId, tuple[OwnerId, datetime]] = field(default_factory=dict)
    models: dict[ModelId, ModelRow] = field(default_factory=dict)
    removals: dict[ModelId, datetime] = field(default_factory=dict)
    runners: dict[RunnerId, RunnerRow] = field(default_factory=dict)
    outcomes: list[OutcomeRow] = field(default_factory=list)
    erasures: dict[BatchId, tuple[str, ...]] = field(default_factory=dict)
    """Files of batches (`output`, `error`) whose answers no row may describe any more; apply after the outcomes."""
    growth: dict[BatchId, Growth] = field(default_factory=dict)
    curation: CurationChanges = field(default_factory=CurationChanges)


def project(  # noqa: C901  # one case for each kind of event
    state: State, changes: Changes, sequence: int, event: e.AnyEvent
) -> None:
    """Fold one event into both. An event that cannot be true changes nothing. Raises ImpossibleEvent."""
    if event.at.tzinfo is None:
        raise ImpossibleEvent("its time has no zone")
    match event:
        case e.FileStored() | e.FileDeleted():
            _file(changes, sequence, event)
        case e.ModelRegistered() | e.ModelRemoved():
            _model(changes, event)
        case e.BatchCreated():
            _created(state, changes, sequence, event)
        case e.ChunkCompleted():
            _counted(state, changes, sequence, event)
        case (
            e.BatchValidated()
            | e.BatchRejected()
            | e.BatchCancelRequested()
            | e.BatchFinalizing()
            | e.BatchSealed()
            | e.BatchPaused()
            | e.BatchResumed()
            | e.BatchPriorityChanged()
        ):
            _moved(state, changes, sequence, event)
        case (
            e.RunnerLeased()
            | e.ModelLoading()
            | e.ModelLoaded()
            | e.ModelFailed()
            | e.EngineCrashed()
            | e.RunnerStopped()
            | e.RunnerLost()
            | e.RunnerDrained()
        ):
            _runner(state, changes, sequence, event)
        case e.BatchArchived():
            _archived(changes, event)
        case e.CurationEvent() | e.LabelingEvent() | e.EvaluationEvent():
            project_curation(changes.curation, sequence, event)
        case (
            # no row says where a request ran or where its events are; an outline has no answer; flaws and errors are
            # counted
            e.BatchDispatched()
            | e.SliceReturned()
            | e.ChunkOutline()
            | e.BatchFirstAnswered()
            | e.BatchQualityDropped()
            | e.BatchErrorShareExceeded()
            | e.UploadEvent()
            | e.ModelDemanded()
            | e.ProfileLowered()
            | e.ProfileTuned()
            | e.RunnerDrainRequested()
            | e.RunnerResumed()
            | e.LeaseTaken()
            | e.AccessEvent()
            | e.WebhookEvent()
            | e.OperationEvent()
        ):
            pass  # no row depends on these
        case _:
            assert_never(event)


def _archived(changes: Changes, event: e.BatchArchived) -> None:
    """Erase what rows say about answers that the archive replaced by placeholders: a rebuild from the archive does not
    find it."""
    if event.erased:
        changes.erasures[event.batch_id] = event.erased


def passed(state: State, changes: Changes, sequence: int) -> None:
    """Note that everything up to `sequence` is folded or set aside."""
    state.sequence = changes.sequence = sequence


def _file(changes: Changes, sequence: int, event: e.FileStored | e.FileDeleted) -> None:
    match event:
        case e.FileStored():
            # The first event wins: a seal that is repeated after a crash stores the same file again.
            changes.files.setdefault(event.file_id, _file_row(sequence, event))
        case e.FileDeleted():
            changes.deletions.setdefault(event.file_id, (event.owner, event.at))
        case _:
            assert_never(event)


def _file_row(sequence: int, event: e.FileStored) -> FileRow:
    return FileRow(
        id=event.file_id,
        sequence=sequence,
        owner=event.owner,
        purpose=event.purpose,
        filename=event.filename,
        bytes=event.bytes,
        sha256=event.sha256,
        blob=event.blob,
        created_at=event.at,
        expires_at=event.expires_at,
        batch_id=event.batch_id,
    )


def _model(changes: Changes, event: e.ModelRegistered | e.ModelRemoved) -> None:
    match event:
        case e.ModelRegistered():
            changes.models[event.model.id] = batches.model_row(event)
            changes.removals.pop(event.model.id, None)
        case e.ModelRemoved():
            changes.removals[event.model_id] = event.at
        case _:
            assert_never(event)


def _created(state: State, changes: Changes, sequence: int, event: e.BatchCreated) -> None:
    if event.batch_id not in state.batches:
        batch = OpenBatch(batches.created(sequence, event))
        state.batches[event.batch_id] = batch
        changes.batches[event.batch_id] = batch.row


def _moved(state: State, changes: Changes, sequence: int, event: batches.Move) -> None:
    batch = state.batches.get(event.batch_id)
    if batch is None or not batches.move(batch, sequence, event):
        return
    changes.batches[event.batch_id] = batch.row
    if batch.row.status in TERMINAL:
        del state.batches[event.batch_id]


def _counted(state: State, changes: Changes, sequence: int, event: e.ChunkCompleted) -> None:
    batch = state.batches.get(event.batch_id)
    if batch is None:
        return
    growth = changes.growth.get(event.batch_id) or Growth(batch.row.partial_bytes)
    if batches.count(batch, sequence, event, outcomes=changes.outcomes, lines=growth.lines):
        batches.note_engine(batch, state.runners.get(event.runner_id), event)
        changes.batches[event.batch_id] = batch.row
        changes.growth[event.batch_id] = growth


def _runner(state: State, changes: Changes, sequence: int, event: runners.RowEvent) -> None:
    row = runners.after(state.runners, sequence, event)
    if row is not None:
        state.runners[RunnerId(row.id)] = changes.runners[RunnerId(row.id)] = row
