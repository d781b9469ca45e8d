"""A model that does not load: when it is tried again, and when its requests fail instead."""

from __future__ import annotations

from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.failures import REQUEST_FAULT_MESSAGES, RequestFault
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.core.state import ModelTrouble, State

FAILURES_MAX = 3
RETRY_AFTER = timedelta(seconds=5)
"""Times the failures so far."""
FORGIVEN_AFTER = timedelta(minutes=5)
"""After so long without a try a model that was given up gets another."""
DETAIL_MAX = 500


def may_send(state: State, model: ModelId, now: datetime) -> bool:
    """Whether the model's requests may leave now, to run or to fail."""
    trouble = state.troubles.get(model)
    if trouble is None or _is_given_up(trouble, now):
        return True
    return now >= trouble.last_at + RETRY_AFTER * trouble.failures


def load_fault(state: State, model: ModelId, now: datetime) -> e.RequestError | None:
    """What the model's requests fail with; None while it is worth a try."""
    trouble = state.troubles.get(model)
    if trouble is None or not _is_given_up(trouble, now):
        return None
    fault = RequestFault.MODEL_UNAVAILABLE
    message = f"{REQUEST_FAULT_MESSAGES[fault]} The engine said: {trouble.detail[-DETAIL_MAX:]}"
    return e.RequestError(code=fault, message=message)


def _is_given_up(trouble: ModelTrouble, now: datetime) -> bool:
    return trouble.failures >= FAILURES_MAX and now < trouble.last_at + FORGIVEN_AFTER
