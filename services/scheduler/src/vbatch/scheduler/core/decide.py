"""What happens now: a pure function of the folded state, what reading the files found, and the time.

One decision dispatches at most one slice, or two runners would be sent the same lines; the flow folds it and asks on.
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
from vbatch.scheduler.core.job import Job, stop_asked_at
from vbatch.scheduler.core.loading import load_fault
from vbatch.scheduler.core.plan import Plan
from vbatch.scheduler.core.policy import Candidate, Choice, Policy, View
from vbatch.scheduler.core.riding import ride
from vbatch.scheduler.core.sharing import sooner_here
from vbatch.scheduler.core.state import Runner, Slice, State
from vbatch.scheduler.core.suspicion import Picked, pick
from vbatch.scheduler.core.view import holders_beside, view_of

OUTSTANDING_SLICES_MAX = 2
"""Slices a runner holds: one runs, one is read ahead; more would only delay a cancel or a better job."""
SHORT_SLICES_MAX = 64
"""Slices it holds while together they are less than a full one: many small batches fill an engine like a large one."""
WINDOWS_HELD_MIN = 2
"""Windows of requests a runner owes at least while there are any: where the window is wider than a slice, or the slices
in hand wait for their last answers, two of them would let the engine run empty."""
SLICE_REQUESTS_MIN, SLICE_REQUESTS_MAX = 64, 512
SLICE_SECONDS = 0.1
"""What a slice keeps a device busy for at least: an order waits for the disk twice before it runs."""
SLICE_REQUESTS_UNKNOWN = 256
"""For a runner whose window is not known yet."""
RECALL_GRACE = timedelta(seconds=10)
"""How long a runner may take to give recalled lines back before the batch ends without it."""

Verdict = Plan | tuple[e.BatchFault, ...]
"""What reading a file found: its plan, or its faults."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a decision needs besides the state."""

    now: datetime
    verdicts: Mapping[BatchId, Verdict]
    policy: Policy
    new_slice_id: Callable[[], SliceId]


def decide(state: State, moment: Moment) -> list[e.Event]:
    """Everything that should be recorded now, or nothing."""
    stirring = [job for job in state.jobs.values() if _may_step(job, moment.now)]
    steps = [event for job in stirring if (event := _next_step(state, job, moment))]
    return steps or _first_slice(state, moment)


def _may_step(job: Job, now: datetime) -> bool:
    """Most batches only wait: a look at each must cost nothing."""
    has_all = job.has_run and job.ledger is not None and job.ledger.is_full
    return has_all or not job.waiting_count or stop_asked_at(job, now) is not None


def _next_step(state: State, job: Job, moment: Moment) -> e.Event | None:
    """The next step of one batch's life, if it is due."""
    if ending := _ending(state, job, moment.now):
        missing = job.ledger.total - job.ledger.answered if job.ledger else 0
        return e.BatchFinalizing(batch_id=job.batch_id, ending=ending, never_ran_count=missing, at=moment.now)
    if job.status is not BatchStatus.VALIDATING:
        return None
    fault = input_fault(state, job)
    verdict = (fault,) if fault else moment.verdicts.get(job.batch_id)
    return None if verdict is None else _judged(job, verdict, moment.now)


def _ending(state: State, job: Job, now: datetime) -> e.Ending | None:
    if job.ledger is not None and job.ledger.is_full:
        return e.Ending.COMPLETED
    stop_at = stop_asked_at(job, now)
    if stop_at is None:
        return None
    if state.slices_of_batch(job.batch_id) and now < stop_at + RECALL_GRACE:
        return None  # the runner is still giving lines back
    return e.Ending.EXPIRED if job.cancel_requested_at is None else e.Ending.CANCELLED


def input_fault(state: State, job: Job) -> e.BatchFault | None:
    """Why the input file cannot be read at all; None when it can."""
    file = state.files.get(job.created.input_file_id)
    if file is not None and job.file is not None and file.owner == job.created.owner:
        return None
    return missing_input(job)


def missing_input(job: Job) -> e.BatchFault:
    created = job.created
    message = f"Cannot find file {created.input_file_id}, or organization {created.owner} does not have access to it."
    return e.BatchFault(code=FileFault.INVALID_REQUEST, message=message, param="file_id")


def _judged(job: Job, verdict: Verdict, now: datetime) -> e.Event:
    if not isinstance(verdict, Plan):
        return e.BatchRejected(batch_id=job.batch_id, faults=verdict, at=now)
    total = e.ModelTotal(model=verdict.model, requests=len(verdict), input_bytes=verdict.input_bytes)
    return e.BatchValidated(
        batch_id=job.batch_id, total=len(verdict), last_line=verdict.last_line, models=(total,), at=now
    )


def _first_slice(state: State, moment: Moment) -> list[e.Event]:
    """For the runner that holds least, of those that can be given one; one without a model before one that would give
    up its own."""
    emptiest_first = sorted(
        state.runners.values(), key=lambda it: (len(state.slices_of(it.runner_id)), it.model is not None)
    )
    first = next((event for it in emptiest_first if (event := _next_slice(state, it, moment))), None)
    return [] if first is None else [first]


def _next_slice(state: State, runner: Runner, moment: Moment) -> e.Event | None:
    """The next slice for a runner with room."""
    held = state.slices_of(runner.runner_id)
    if not _has_room(state, runner, held):
        return None
    view = _offered(state, runner, moment.now)
    choice = moment.policy(view)
    if choice is None:
        return None
    job = state.jobs[choice.batch_id]
    limit = SLICE_REQUESTS_MIN if choice.is_brief else _slice_size(state, runner, job.model)
    if held and held[-1].event.batch_id == choice.batch_id:  # it would only go on
        if it := ride(state, held[-1], view, limit):
            return _dispatched(state, runner, Choice(it.batch_id, it.reason), it.picked, moment)
    picked = pick(job, limit)
    if picked is None or (picked.is_suspect and held):
        return None
    return _dispatched(state, runner, choice, picked, moment)


def _offered(state: State, runner: Runner, now: datetime) -> View:
    """What could run there, less what ends sooner on others."""

    def piece(it: Candidate) -> float:
        return it.work * min(1.0, _slice_size(state, runner, it.model) / state.jobs[it.batch_id].waiting_count)

    return sooner_here(view_of(state, runner, now), holders_beside(state, runner, now), piece)


def _has_room(state: State, runner: Runner, held: list[Slice]) -> bool:
    if any(it.is_suspect for it in held):
        return False  # suspects run alone, or the culprit would hide among others
    if len(held) < OUTSTANDING_SLICES_MAX:
        return True
    enough = max(_slice_size(state, runner, runner.model), WINDOWS_HELD_MIN * runner.window)
    return len(held) < SHORT_SLICES_MAX and sum(len(it.lines) for it in held) < enough


def _slice_size(state: State, runner: Runner, model: ModelId | None) -> int:
    """Twice the window, so that the engine stays full while the next slice is on its way; more for a fast device."""
    pace = state.estimates.requests_a_second(model) * SLICE_SECONDS
    wanted = max(2 * runner.window or SLICE_REQUESTS_UNKNOWN, int(pace))
    return max(SLICE_REQUESTS_MIN, min(wanted, SLICE_REQUESTS_MAX))


def _dispatched(state: State, runner: Runner, choice: Choice, picked: Picked, moment: Moment) -> e.Event:
    model = _model(state.jobs[choice.batch_id])
    return e.BatchDispatched(
        batch_id=choice.batch_id,
        slice_id=moment.new_slice_id(),
        runner_id=runner.runner_id,
        epoch=runner.epoch,
        model=model,
        lines=picked.lines,
        attempt=picked.waiting.attempt,
        reason=picked.reason or choice.reason,
        fault=picked.fault or load_fault(state, model, moment.now),
        at=moment.now,
    )


def _model(job: Job) -> ModelId:
    if job.model is None:
        raise RuntimeError(f"{job.batch_id} was chosen before it was validated")
    return job.model


def order_of(state: State, it: Slice) -> RunSlice | FailSlice | None:
    """The order that tells the runner of a slice; None while the plan is not there to say where its lines stand.

    Only lines still owed are named: after a restart the same order is made again, smaller.
    """
    job = state.jobs.get(it.event.batch_id)
    if job is None or job.plan is None or job.file is None:
        return None
    sent = it.event
    requests = job.plan.refs(it.lines)
    if sent.fault is not None:
        return FailSlice(
            epoch=sent.epoch, batch_id=sent.batch_id, slice_id=sent.slice_id, model=sent.model, blob=job.file.blob,
            requests=requests, fault=sent.fault,
        )  # fmt: skip
    return RunSlice(
        epoch=sent.epoch, batch_id=sent.batch_id, slice_id=sent.slice_id, model=sent.model, blob=job.file.blob,
        requests=requests, endpoint=job.created.endpoint, attempt=sent.attempt,
        model_behind=_model_behind(state, sent.model),
    )  # fmt: skip


def _model_behind(state: State, model: ModelId) -> ModelId | None:
    """Another model with work, that of the oldest batch."""
    waiting = (
        job.model for job in state.jobs.values() if job.model != model and job.waiting_count and not job.is_paused
    )
    return next(filter(None, waiting), None)
