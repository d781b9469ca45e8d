"""What happens now: a pure function of the folded state, the results of reading the files, and the time.

One decision dispatches at most one slice, because otherwise two runners could get the same lines. The flow folds the
decision and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import BatchId, ModelId, SliceId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.contracts.orders import FailSlice, RunSlice
from vbatch.scheduler.core.demand import NO_DEMANDS, Demands, due_load
from vbatch.scheduler.core.giving_up import ends_of_given_up
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.policy.coscheduling import coschedule
from vbatch.scheduler.core.policy.placement import sooner_here
from vbatch.scheduler.core.policy.policy import Candidate, Choice, Policy, View
from vbatch.scheduler.core.policy.view import has_waiting, holders_beside, view_of
from vbatch.scheduler.core.quality import error_events, quality_events
from vbatch.scheduler.core.state.bisection import Picked, pick
from vbatch.scheduler.core.state.load_failures import load_fault
from vbatch.scheduler.core.state.pending_batch import PendingBatch, stop_asked_at
from vbatch.scheduler.core.state.runner import Runner
from vbatch.scheduler.core.state.slices import Slice
from vbatch.scheduler.core.state.state import State

OUTSTANDING_SLICES_MAX = 2
"""The slices that a runner holds: one runs and one is read ahead. More would only delay a cancel or a better batch."""
SHORT_SLICES_MAX = 64
"""The slices that a runner holds while together they are smaller than a full one, so that many small batches can fill
an engine."""
FULL_ENGINES_HELD_MIN = 2
"""A runner with work holds requests for at least this many times its concurrency. Where the concurrency exceeds a
slice, or the held slices wait for their last answers, two slices would let the engine run empty."""
SLICE_REQUESTS_MIN, SLICE_REQUESTS_MAX = 64, 512
SLICE_SECONDS = 0.1
"""A slice keeps a device busy for at least this long: an order waits for the disk twice before it runs."""
SLICE_REQUESTS_UNKNOWN = 256
"""The size of a slice for a runner whose concurrency is not known yet."""
CANCEL_GRACE = timedelta(seconds=10)
"""How long a runner may take to return the lines of a cancelled batch before the batch ends without it."""

FLAW_SHARE_MAX = 0.5
"""When the share of answers with a flaw reaches this, the scheduler reports it."""

PlanResult = Plan | tuple[e.BatchFault, ...]
"""The result of reading a file: its plan, or its faults."""
Idleness = tuple[ModelId | None, int]
"""The model of an idle runner and its concurrency: runners that agree in both are offered the same batches."""


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """What a decision needs in addition to the state."""

    now: datetime
    plan_results: Mapping[BatchId, PlanResult]
    policy: Policy
    new_slice_id: Callable[[], SliceId]
    flaw_share_max: float = FLAW_SHARE_MAX
    demands: Demands = NO_DEMANDS


def decide(state: State, given: DecisionInput) -> list[e.AnyEvent]:
    """The events to record now; empty when nothing is due."""
    if state.given_up:
        return ends_of_given_up(state, given.now)
    stirring = [batch for batch in state.batches.values() if _may_step(batch, given.now)]
    steps = [event for batch in stirring if (event := _next_step(state, batch, given))]
    if events := [*_first_answers(state, given.now), *_quality(state, given), *steps]:
        return events
    load = due_load(state, given.demands, given.now)
    return [load] if load is not None else _first_slice(state, given)


def _first_answers(state: State, now: datetime) -> list[e.AnyEvent]:
    owing = (batch for batch in state.batches.values() if batch.owes_first_answer)
    return [e.BatchFirstAnswered(batch_id=batch.batch_id, at=now) for batch in owing]


def _quality(state: State, given: DecisionInput) -> list[e.AnyEvent]:
    """The events about the answers and errors of all batches. Most batches have no flaw and no error, so this check
    costs almost nothing."""
    ledgers = ((batch, batch.ledger) for batch in state.batches.values() if batch.ledger is not None)
    poor = [batch for batch, ledger in ledgers if ledger.flaws or ledger.failed]
    return [
        event
        for batch in poor
        for event in (*quality_events(batch, given.flaw_share_max, given.now), *error_events(batch, given.now))
    ]


def _may_step(batch: PendingBatch, now: datetime) -> bool:
    """Whether the batch could have a step to take. Most batches only wait, so this check must cost nothing."""
    has_all = batch.has_run and batch.ledger is not None and batch.ledger.is_full
    return has_all or not batch.waiting_count or stop_asked_at(batch, now) is not None


def _next_step(state: State, batch: PendingBatch, given: DecisionInput) -> e.AnyEvent | None:
    """The next step in the life of one batch, if it is due."""
    if ending := _ending(state, batch, given.now):
        missing = batch.ledger.total - batch.ledger.answered if batch.ledger else 0
        return e.BatchFinalizing(batch_id=batch.batch_id, ending=ending, never_ran_count=missing, at=given.now)
    if batch.status is not BatchStatus.VALIDATING:
        return None
    fault = input_fault(state, batch)
    result = (fault,) if fault else given.plan_results.get(batch.batch_id)
    return None if result is None else _judged(batch, result, given.now)


def _ending(state: State, batch: PendingBatch, now: datetime) -> e.Ending | None:
    if batch.ledger is not None and batch.ledger.is_full:
        return e.Ending.COMPLETED
    stop_at = stop_asked_at(batch, now)
    if stop_at is None:
        return None
    if state.slices_of_batch(batch.batch_id) and now < stop_at + CANCEL_GRACE:
        return None  # the runner is still returning lines
    return e.Ending.EXPIRED if batch.cancel_requested_at is None else e.Ending.CANCELLED


def input_fault(state: State, batch: PendingBatch) -> e.BatchFault | None:
    """Why the input file cannot be read at all; None when it can."""
    file = state.files.get(batch.created.input_file_id)
    if file is not None and batch.file is not None and file.owner == batch.created.owner:
        return None
    return missing_input(batch)


def missing_input(batch: PendingBatch) -> e.BatchFault:
    created = batch.created
    message = f"Cannot find file {created.input_file_id}, or organization {created.owner} does not have access to it."
    return e.BatchFault(code=FileFault.INVALID_REQUEST, message=message, param="file_id")


def _judged(batch: PendingBatch, result: PlanResult, now: datetime) -> e.AnyEvent:
    if not isinstance(result, Plan):
        return e.BatchRejected(batch_id=batch.batch_id, faults=result, at=now)
    return e.BatchValidated(
        batch_id=batch.batch_id, total=len(result), last_line=result.last_line, models=result.totals(), at=now
    )


def _first_slice(state: State, given: DecisionInput) -> list[e.AnyEvent]:
    """The first slice that some runner can take. The runner that holds least comes first, and a runner without a model
    before one that would have to give up its own. When an idle runner is offered nothing, the idle runners like it are
    skipped: a fleet may have hundreds."""
    if not has_waiting(state, given.now):
        return []
    emptiest_first = sorted(
        state.available_runners(),
        key=lambda runner: (len(state.slices_of(runner.runner_id)), runner.model is not None),
    )
    in_vain = set[Idleness]()
    for runner in emptiest_first:
        idleness = _idleness(state, runner)
        if idleness in in_vain or not _has_room(state, runner, state.slices_of(runner.runner_id)):
            continue
        view = _offered(state, runner, given.now)
        if event := _next_slice(state, runner, view, given):
            return [event]
        if idleness is not None and not view.candidates:
            in_vain.add(idleness)
    return []


def _idleness(state: State, runner: Runner) -> Idleness | None:
    """What the offer to an idle runner depends on; None when it also depends on slices that the runner holds or on
    models that it could not load. How long its model has been loaded affects only the choice among the offered
    batches."""
    if state.slices_of(runner.runner_id) or any(place[0] == runner.runner_id for place in state.troubles):
        return None
    return runner.model, runner.concurrency


def _next_slice(state: State, runner: Runner, view: View, given: DecisionInput) -> e.AnyEvent | None:
    """The next slice for a runner that can take one."""
    held = state.slices_of(runner.runner_id)
    choice = given.policy(view)
    if choice is None:
        return None
    model = _model_chosen(view, choice)
    limit = SLICE_REQUESTS_MIN if choice.is_brief else _slice_size(state, runner, model)
    if held and held[-1].event.batch_id == choice.batch_id:  # it would only continue the previous slice
        if follower := coschedule(state, held[-1], view, limit):
            chosen = Choice(follower.batch_id, follower.reason)
            return _dispatched(state, runner, chosen, held[-1].event.model, follower.picked, given)
    picked = pick(state.batches[choice.batch_id], limit, model)
    if picked is None or (picked.is_suspect and held):
        return None
    return _dispatched(state, runner, choice, model, picked, given)


def _model_chosen(view: View, choice: Choice) -> ModelId:
    """The model for which the batch was offered: that of its next requests on this runner."""
    return next(candidate.model for candidate in view.candidates if candidate.batch_id == choice.batch_id)


def _offered(state: State, runner: Runner, now: datetime) -> View:
    """What could run on this runner, without the batches that end sooner on other runners."""

    def piece(candidate: Candidate) -> float:
        return candidate.work * min(
            1.0, _slice_size(state, runner, candidate.model) / state.batches[candidate.batch_id].waiting_count
        )

    return sooner_here(view_of(state, runner, now), holders_beside(state, runner, now), piece)


def _has_room(state: State, runner: Runner, held: list[Slice]) -> bool:
    """Suspects run alone, or the culprit would hide among others. Every runner is checked and most are full, so the
    slices are counted before their requests are looked at."""
    return _holds_little(state, runner, held) and not any(slice_.is_suspect for slice_ in held)


def _holds_little(state: State, runner: Runner, held: list[Slice]) -> bool:
    if len(held) < OUTSTANDING_SLICES_MAX:
        return True
    enough = max(_slice_size(state, runner, runner.model), FULL_ENGINES_HELD_MIN * runner.concurrency)
    return len(held) < SHORT_SLICES_MAX and sum(len(slice_.lines) for slice_ in held) < enough


def _slice_size(state: State, runner: Runner, model: ModelId | None) -> int:
    """Twice the concurrency, so that the engine stays full while the next slice travels; more for a fast device."""
    throughput = state.costs.requests_a_second(model) * SLICE_SECONDS
    wanted = max(2 * runner.concurrency or SLICE_REQUESTS_UNKNOWN, int(throughput))
    return max(SLICE_REQUESTS_MIN, min(wanted, SLICE_REQUESTS_MAX))


def _dispatched(
    state: State, runner: Runner, choice: Choice, model: ModelId, picked: Picked, given: DecisionInput
) -> e.AnyEvent:
    return e.BatchDispatched(
        batch_id=choice.batch_id,
        slice_id=given.new_slice_id(),
        runner_id=runner.runner_id,
        epoch=runner.epoch,
        model=model,
        lines=picked.lines,
        attempt=picked.waiting.attempt,
        reason=picked.reason or choice.reason,
        fault=picked.fault or load_fault(state, model, given.now),
        at=given.now,
    )


def work_order_for(state: State, slice_: Slice) -> RunSlice | FailSlice | None:
    """The order that gives a slice to its runner; None while there is no plan to say where its lines are.

    It names only the lines that are still unanswered, so the same order is smaller after a restart.
    """
    batch = state.batches.get(slice_.event.batch_id)
    if batch is None or batch.plan is None or batch.file is None:
        return None
    sent = slice_.event
    requests = batch.plan.refs(slice_.lines)
    if sent.fault is not None:
        return FailSlice(
            epoch=sent.epoch, batch_id=sent.batch_id, slice_id=sent.slice_id, model=sent.model, blob=batch.file.blob,
            requests=requests, fault=sent.fault,
        )  # fmt: skip
    return RunSlice(
        epoch=sent.epoch, batch_id=sent.batch_id, slice_id=sent.slice_id, model=sent.model, blob=batch.file.blob,
        requests=requests, endpoint=batch.created.endpoint, attempt=sent.attempt,
        replaces_model=batch.created.model is not None,
        model_behind=_model_behind(state, sent.model),
    )  # fmt: skip


def _model_behind(state: State, model: ModelId) -> ModelId | None:
    """The first model of the oldest batch with work for another model."""
    waiting = (other for batch in state.batches.values() if not batch.is_paused for other in batch.waiting_models())
    return next((other for other in waiting if other != model), None)
