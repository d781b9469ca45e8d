"""Sends one request through the engine, with retries if they may help, and returns its outcome."""

from __future__ import annotations

import asyncio

from vbatch.contracts.events import Outcome
from vbatch.contracts.failures import RequestFault
from vbatch.gpu_runner.core.answers import fault_outcome, outcome_of
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.core.retrying import Tries
from vbatch.gpu_runner.ports import Answer, AnswerNotHttp, AnswerTooLarge, ConnectionLost, Engine, Gate, RequestTimedOut

DROPPED_MESSAGE = "The engine closed the connection each time it got this request."


class EngineGone(Exception):
    """Raised when the engine no longer answers: the requests inside it are lost, not failed."""


async def outcome_from(engine: Engine, request: Request, limits: Limits, metrics: RunnerMetrics, gate: Gate) -> Outcome:
    """Return the outcome of the request. Raises EngineGone; never blames the request for the engine's death.

    Each try passes the gate.
    """
    clock = asyncio.get_running_loop().time
    started = clock()
    try:
        answer = await _answer(engine, request, limits, metrics, gate)
    except RequestTimedOut:
        return fault_outcome(request, RequestFault.REQUEST_TIMEOUT, seconds=clock() - started)
    except (AnswerTooLarge, AnswerNotHttp) as error:
        return fault_outcome(request, RequestFault.UNREADABLE_ANSWER, message=str(error), seconds=clock() - started)
    if answer is None:
        return fault_outcome(request, RequestFault.ENGINE_CRASHED, message=DROPPED_MESSAGE)
    return outcome_of(request, answer.status_code, answer.body, clock() - started)


async def _answer(
    engine: Engine, request: Request, limits: Limits, metrics: RunnerMetrics, gate: Gate
) -> Answer | None:
    """Return the engine's final answer; None if a healthy engine only ever closed the connection.

    Raises AnswerNotHttp if a healthy engine answered something else than HTTP: it would do so again.
    """
    tries, lost_tries = Tries(), 0
    while True:
        try:
            answer = await engine.ask(request.endpoint, request.body, gate, request.group)
        except ConnectionLost as error:
            if not await engine.is_healthy():
                raise EngineGone(f"the engine does not answer: {error}") from error
            if isinstance(error, AnswerNotHttp):
                raise
            lost_tries += error.tries
            if lost_tries > limits.reconnects_max:
                return None
            await asyncio.sleep(limits.busy_pause_seconds * lost_tries)
            continue
        if answer.status_code >= 500 and not await engine.is_healthy():
            raise EngineGone(f"the engine answered {answer.status_code} and is not healthy")
        pause = tries.pause_before_next(answer.status_code, answer.retry_after, limits)
        if pause is None:
            return answer
        metrics.retried_count += 1
        await asyncio.sleep(pause)
