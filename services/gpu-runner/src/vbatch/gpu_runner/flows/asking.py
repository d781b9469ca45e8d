"""One request's way through the engine: asked, asked again where that makes sense, and what came of it."""

from __future__ import annotations

import asyncio

from vbatch.contracts.events import Outcome
from vbatch.contracts.failures import RequestFault
from vbatch.gpu_runner.core.answers import BUSY_STATUSES, fault_outcome, outcome_of
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.figures import Figures
from vbatch.gpu_runner.limits import Limits
from vbatch.gpu_runner.ports import Answer, AnswerTooLarge, ConnectionLost, Engine, RequestTimedOut

DROPPED_MESSAGE = "The engine closed the connection each time it got this request."


class EngineGone(Exception):
    """The engine does not answer any more: what is inside it is lost, not failed."""


async def outcome_from(engine: Engine, request: Request, limits: Limits, figures: Figures) -> Outcome:
    """What became of the request. Raises EngineGone; never blames the request for the engine's death."""
    clock = asyncio.get_running_loop().time
    started = clock()
    try:
        answer = await _answer(engine, request, limits, figures)
    except RequestTimedOut:
        return fault_outcome(request, RequestFault.REQUEST_TIMEOUT, seconds=clock() - started)
    except AnswerTooLarge as error:
        return fault_outcome(request, RequestFault.UNREADABLE_ANSWER, message=str(error), seconds=clock() - started)
    if answer is None:
        return fault_outcome(request, RequestFault.ENGINE_CRASHED, message=DROPPED_MESSAGE)
    if answer.status_code >= 500 and not await engine.is_healthy():
        raise EngineGone(f"the engine answered {answer.status_code} and is not healthy")
    return outcome_of(request, answer.status_code, answer.body, clock() - started)


async def _answer(engine: Engine, request: Request, limits: Limits, figures: Figures) -> Answer | None:
    """The engine's last word; None when a healthy engine only ever closed the connection."""
    busy_tries, lost_tries, pause = 0, 0, limits.busy_pause_seconds
    while True:
        try:
            answer = await engine.ask(request.endpoint, request.body)
        except ConnectionLost as error:
            if not await engine.is_healthy():
                raise EngineGone(f"the engine does not answer: {error}") from error
            lost_tries += 1
            if lost_tries > limits.reconnects_max:
                return None
            continue
        if answer.status_code not in BUSY_STATUSES or busy_tries >= limits.busy_retries_max:
            return answer
        busy_tries += 1
        figures.retried_count += 1
        await asyncio.sleep(pause)
        pause = min(pause * 2, limits.busy_pause_seconds_max)
