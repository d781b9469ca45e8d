"""All that the scheduler knows, folded from the log: files, models, runners, unfinished batches, slices on runners."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import BatchId, FileId, ModelId, RunnerId
from vbatch.contracts.lifecycle import BatchStatus, Steering
from vbatch.contracts.models import ModelDefinition
from vbatch.scheduler.core.state.arrivals import Arrivals
from vbatch.scheduler.core.state.cost_model import CostModel
from vbatch.scheduler.core.state.draining import after_drain_event, after_lease
from vbatch.scheduler.core.state.pending_batch import PendingBatch, Waiting
from vbatch.scheduler.core.state.reports import FirstAnswerWishes, note_report
from vbatch.scheduler.core.state.runner import EngineMove, Runner
from vbatch.scheduler.core.state.slices import Slice, Slices

HOLDING = frozenset({ReturnReason.INPUT_UNREADABLE, ReturnReason.MODEL_FAILED})

BATCH_INPUT = "batch"
"""The purpose of files that batches read; the scheduler needs no other files."""
Place = tuple[RunnerId, ModelId]
"""Where a model is, or should be, loaded."""


@dataclass(frozen=True, slots=True)
class ModelTrouble:
    """Consecutive failed loads of a model on one runner."""

    failures: int
    last_at: datetime
    detail: str


@dataclass(slots=True)
class State:
    sequence: int = 0
    files: dict[FileId, e.FileStored] = field(default_factory=dict)
    models: dict[ModelId, ModelDefinition] = field(default_factory=dict)
    troubles: dict[Place, ModelTrouble] = field(default_factory=dict)
    runners: dict[RunnerId, Runner] = field(default_factory=dict)
    batches: dict[BatchId, PendingBatch] = field(default_factory=dict)
    slices: Slices = field(default_factory=Slices)
    costs: CostModel = field(default_factory=CostModel)
    arrivals: Arrivals = field(default_factory=Arrivals)
    first_answer_wishes: FirstAnswerWishes = field(default_factory=FirstAnswerWishes)
    queue_pause_sequence: int = 0
    """The sequence of the event that paused all work; 0 while work may run."""
    drains: dict[RunnerId, e.DrainGoal] = field(default_factory=dict)
    """The runners that take nothing new, and what they do instead; they need not be alive."""
    given_up: dict[BatchId, str] = field(default_factory=dict)
    """Batches that cannot continue, and why: one of their writes was refused for good, or one of their events cannot be
    used. They are ended next."""

    @property
    def is_queue_paused(self) -> bool:
        return self.queue_pause_sequence != 0

    def pause_of(self, batch: PendingBatch) -> int:
        """The sequence of the newest pause that holds the batch, its own or that of all work; 0 while it may run."""
        return max(batch.pause_sequence, self.queue_pause_sequence)

    def available_runners(self) -> list[Runner]:
        """The live runners that take new work."""
        return [runner for runner in self.runners.values() if runner.runner_id not in self.drains]

    def slices_of(self, runner_id: RunnerId) -> list[Slice]:
        return self.slices.of_runner(runner_id)

    def slices_of_batch(self, batch_id: BatchId) -> list[Slice]:
        return self.slices.of_batch(batch_id)

    def may_load_elsewhere(self, runner_id: RunnerId, model: ModelId) -> bool:
        """Whether another runner takes work that has not failed to load the model."""
        others = (runner.runner_id for runner in self.available_runners() if runner.runner_id != runner_id)
        return any((other, model) not in self.troubles for other in others)


def evolve(state: State, event: e.AnyEvent, sequence: int) -> None:
    """Fold one event. The match is total: an event that changes nothing is listed as such."""
    state.sequence = sequence
    match event:
        case e.FileStored() | e.FileDeleted():
            _evolve_files(state, event)
        case e.ModelRegistered() | e.ModelRemoved():
            _evolve_models(state, event)
        case (
            e.RunnerLeased()
            | e.RunnerStopped()
            | e.RunnerLost()
            | e.ModelDemanded()
            | e.ModelLoaded()
            | e.ModelFailed()
            | e.EngineCrashed()
        ):
            _evolve_runner(state, event)
        case e.BatchDispatched() | e.ChunkOutline() | e.ChunkCompleted() | e.SliceReturned():
            _evolve_slices(state, event)
        case e.BatchCreated():
            state.batches[event.batch_id] = PendingBatch(
                event, sequence, _input_of(state, event), steering=Steering(event.priority)
            )
        case e.BatchValidated() | e.BatchRejected() | e.BatchCancelRequested() | e.BatchFinalizing():
            _evolve_batch(state, event)
        case e.BatchPaused() | e.BatchResumed() | e.BatchPriorityChanged() | e.OperationEvent() | e.DrainEvent():
            _evolve_steering(state, event)
        case e.BatchFirstAnswered() | e.BatchQualityDropped() | e.BatchErrorShareExceeded() | e.WebhookEvent():
            _evolve_reports(state, event)
        case (
            e.ModelLoading()
            | e.ProfileLowered()
            | e.ProfileTuned()
            | e.BatchSealed()
            | e.BatchArchived()
            | e.UploadEvent()
            | e.LeaseTaken()
            | e.AccessEvent()
            | e.CurationEvent()
            | e.LabelingEvent()
            | e.EvaluationEvent()
        ):
            pass  # these change nothing here: what follows from them has its own events
        case _:
            assert_never(event)


def _evolve_reports(state: State, event: e.BatchFirstAnswered | e.QualityEvent | e.WebhookEvent) -> None:
    """Note what was reported about a batch, and who wants reports."""
    if isinstance(event, e.WebhookEvent):
        state.first_answer_wishes.fold(event)
    elif batch := state.batches.get(event.batch_id):
        note_report(batch, event)


def _evolve_steering(state: State, event: e.SteeringEvent | e.AnyOperationEvent | e.AnyDrainEvent) -> None:
    match event:
        case e.DrainEvent():
            after_drain_event(state.drains, event)
            if runner := state.runners.get(event.runner_id):
                runner.follow_drain(event)
        case e.BatchPaused() | e.BatchResumed() | e.BatchPriorityChanged():
            if batch := state.batches.get(event.batch_id):
                batch.move(event, state.sequence)
        case e.QueuePaused():
            state.queue_pause_sequence = state.queue_pause_sequence or state.sequence
        case e.QueueResumed():
            state.queue_pause_sequence = 0
        case e.DeadLetterRetried() | e.DeadLetterDropped():
            pass  # what was sent again has its own event
        case _:
            assert_never(event)


def _input_of(state: State, event: e.BatchCreated) -> e.FileStored | None:
    """The batch's file, unless it had expired by then: an expired file counts as deleted."""
    file = state.files.get(event.input_file_id)
    is_expired = file is not None and file.expires_at is not None and file.expires_at <= event.at
    return None if is_expired else file


def _evolve_files(state: State, event: e.FileStored | e.FileDeleted) -> None:
    match event:
        case e.FileStored():
            if event.purpose == BATCH_INPUT:
                state.files[event.file_id] = event
        case e.FileDeleted():
            state.files.pop(event.file_id, None)
        case _:
            assert_never(event)


def _evolve_models(state: State, event: e.ModelRegistered | e.ModelRemoved) -> None:
    match event:
        case e.ModelRegistered():
            state.models[event.model.id] = event.model
            state.troubles = {place: trouble for place, trouble in state.troubles.items() if place[1] != event.model.id}
        case e.ModelRemoved():
            state.models.pop(event.model_id, None)
        case _:
            assert_never(event)


def _evolve_runner(state: State, event: e.RunnerLeased | e.RunnerStopped | e.RunnerLost | EngineMove) -> None:
    match event:
        case e.RunnerLeased():
            _take_back_all(state, event.runner_id)
            after_lease(state.drains, event.runner_id)
            state.runners[event.runner_id] = Runner(event.runner_id, state.sequence)
        case e.RunnerStopped():
            _take_back_all(state, event.runner_id)
            state.runners.pop(event.runner_id, None)
        case e.RunnerLost():
            runner = state.runners.get(event.runner_id)
            if runner is not None and runner.epoch == event.epoch:  # a runner with a newer lease will begin again
                _take_back_all(state, event.runner_id)
                del state.runners[event.runner_id]
        case e.ModelLoaded():
            state.troubles.pop((event.runner_id, event.model), None)
            state.costs.loaded(event)
            _move_engine(state, event)
        case e.ModelFailed():
            place = (event.runner_id, event.model)
            before = state.troubles.get(place)
            failures = before.failures + 1 if before else 1
            state.troubles[place] = ModelTrouble(failures, event.at, event.detail)
            _move_engine(state, event)
        case e.ModelDemanded() | e.EngineCrashed():
            _move_engine(state, event)
        case _:
            assert_never(event)


def _move_engine(state: State, event: EngineMove) -> None:
    runner = state.runners.get(event.runner_id)
    if runner is not None:
        runner.move(event, state.sequence)


def _take_back_all(state: State, runner_id: RunnerId) -> None:
    """The runner's process is gone: its unanswered requests wait again. None becomes a suspect, because a process dies
    for many reasons. The next process may try the models that this one could not load, as it may have more memory."""
    state.costs.paused(runner_id)
    state.troubles = {place: trouble for place, trouble in state.troubles.items() if place[0] != runner_id}
    for slice_ in state.slices_of(runner_id):
        for line in list(slice_.lines):
            _take_back(state, slice_, line, died=False)
        del state.slices[slice_.event.slice_id]


def _evolve_slices(
    state: State, event: e.BatchDispatched | e.ChunkOutline | e.ChunkCompleted | e.SliceReturned
) -> None:
    match event:
        case e.BatchDispatched():
            _dispatch(state, event)
        case e.ChunkOutline() | e.ChunkCompleted():
            _count(state, event)
        case e.SliceReturned():
            _return_lines(state, event)
        case _:
            assert_never(event)


def _dispatch(state: State, event: e.BatchDispatched) -> None:
    batch, runner = state.batches.get(event.batch_id), state.runners.get(event.runner_id)
    if batch is None or state.pause_of(batch) or runner is None or runner.epoch != event.epoch:
        return  # decided before the end or pause of that batch, or the end of that runner, was read: they keep waiting
    if event.runner_id in state.drains:
        return  # decided before the drain of that runner was read
    state.slices[event.slice_id] = Slice(event, batch.send(event.lines, event.model))
    if event.fault is None:
        batch.throughput.begin(event.at.timestamp())
        state.costs.began(event.runner_id, event.at)
        runner.turn_to(event.model, event.at)


def _count(state: State, event: e.ChunkOutline | e.ChunkCompleted) -> None:
    batch = state.batches.get(event.batch_id)
    slice_ = state.slices.get(event.slice_id)
    if slice_ is not None and slice_.event.fault is None:
        state.costs.served(event, batch.created.owner if batch else None)
    if batch is not None:
        batch.throughput.add(len(event.outcomes), event.at.timestamp())
    for outcome in event.outcomes:
        if batch is not None and batch.ledger is not None:
            batch.ledger.record(outcome)
            batch.returned.pop(outcome.line, None)
        if slice_ is not None:
            slice_.lines.pop(outcome.line, None)
    if batch is not None and not batch.has_answer:
        state.first_answer_wishes.look_at(batch)
    _drop_if_done(state, slice_)


def _return_lines(state: State, event: e.SliceReturned) -> None:
    slice_ = state.slices.get(event.slice_id)
    if slice_ is None:
        return
    suspects = set(event.suspects) if event.reason is ReturnReason.ENGINE_DIED else set()
    for line in event.lines:
        if line in slice_.lines:
            _take_back(state, slice_, line, died=line in suspects)
    if event.reason in HOLDING and not _goes_elsewhere(state, slice_) and (batch := state.batches.get(event.batch_id)):
        batch.hold(event.at)
    _drop_if_done(state, slice_)


def _goes_elsewhere(state: State, slice_: Slice) -> bool:
    """Whether the model of the slice did not load here, so that the next runner need not wait."""
    runner_id, model = slice_.event.runner_id, slice_.event.model
    return (runner_id, model) in state.troubles and state.may_load_elsewhere(runner_id, model)


def _take_back(state: State, slice_: Slice, line: int, *, died: bool) -> None:
    waiting = slice_.lines.pop(line)
    if batch := state.batches.get(slice_.event.batch_id):
        batch.take_back(line, Waiting(attempt=waiting.attempt + 1, deaths=waiting.deaths + died))


def _drop_if_done(state: State, slice_: Slice | None) -> None:
    if slice_ is not None and not slice_.lines and state.slices.pop(slice_.event.slice_id, None) is not None:
        _rest_if_idle(state, slice_.event.runner_id)


def _rest_if_idle(state: State, runner_id: RunnerId) -> None:
    if not state.slices_of(runner_id):
        state.costs.paused(runner_id)


def _forget(state: State, batch: PendingBatch) -> None:
    """The batch has ended; a slice whose order was never received must not keep its place on the runner."""
    for slice_ in state.slices_of_batch(batch.batch_id):
        del state.slices[slice_.event.slice_id]
        _rest_if_idle(state, slice_.event.runner_id)
    del state.batches[batch.batch_id]


def _evolve_batch(
    state: State, event: e.BatchValidated | e.BatchRejected | e.BatchCancelRequested | e.BatchFinalizing
) -> None:
    if isinstance(event, e.BatchRejected | e.BatchFinalizing):
        state.given_up.pop(event.batch_id, None)
    batch = state.batches.get(event.batch_id)
    if batch is None:
        return
    batch.move(event, state.sequence)
    match event:
        case e.BatchValidated():
            if batch.status is BatchStatus.IN_PROGRESS:  # a cancel that came first leaves nothing to count
                batch.open(event)
                state.arrivals.add(event.at.timestamp(), _work(state, batch))
        case e.BatchCancelRequested():
            batch.cancel_requested_at = batch.cancel_requested_at or event.at
        case e.BatchRejected():
            if batch.status is BatchStatus.FAILED:  # a batch with an earlier cancel is ended by its own event
                del state.batches[event.batch_id]
        case e.BatchFinalizing():
            _forget(state, batch)
        case _:
            assert_never(event)


def _work(state: State, batch: PendingBatch) -> float:
    """The seconds that all the work of a new batch will take."""
    if batch.model is None or batch.ledger is None:
        return 0.0
    model_cost = state.costs.model_cost(batch.model)
    return model_cost.seconds(batch.ledger.total, batch.request_bytes)
