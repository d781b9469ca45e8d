"""Decides, for a model that does not load, where and when it is tried again and when its requests fail instead."""

from __future__ import annotations

from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.failures import REQUEST_FAULT_MESSAGES, RequestFault
from vbatch.contracts.ids import ModelId, RunnerId
from vbatch.scheduler.core.state.state import ModelTrouble, State

FAILURES_MAX = 3
RETRY_AFTER = timedelta(seconds=5)
"""The pause before another try, multiplied by the number of failures so far."""
FORGIVEN_AFTER = timedelta(minutes=5)
"""A model that was given up is tried again after this long without a try. If another runner can load it, the time is
multiplied by the number of failures so far."""
FORGIVEN_AFTER_MAX = timedelta(hours=1)
DETAIL_MAX = 500


def may_send(state: State, runner_id: RunnerId, model: ModelId, now: datetime) -> bool:
    """Whether the model's requests may go to this runner now, to run or to fail."""
    trouble = state.troubles.get((runner_id, model))
    if trouble is None:
        return True
    if state.may_load_elsewhere(runner_id, model):
        return now >= trouble.last_at + min(FORGIVEN_AFTER * trouble.failures, FORGIVEN_AFTER_MAX)
    if _is_given_up(trouble, now):
        return load_fault(state, model, now) is not None
    return now >= trouble.last_at + RETRY_AFTER * trouble.failures


def load_fault(state: State, model: ModelId, now: datetime) -> e.RequestError | None:
    """The error with which the model's requests fail; None while it is worth trying on some runner."""
    troubles = [state.troubles.get((runner, model)) for runner in state.runners]
    known = [trouble for trouble in troubles if trouble is not None and _is_given_up(trouble, now)]
    if not known or len(known) < len(troubles):
        return None
    fault, latest = RequestFault.MODEL_UNAVAILABLE, max(known, key=lambda trouble: trouble.last_at)
    message = f"{REQUEST_FAULT_MESSAGES[fault]} The engine said: {latest.detail[-DETAIL_MAX:]}"
    return e.RequestError(code=fault, message=message)


def _is_given_up(trouble: ModelTrouble, now: datetime) -> bool:
    return trouble.failures >= FAILURES_MAX and now < trouble.last_at + FORGIVEN_AFTER
