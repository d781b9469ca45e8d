"""The path of an interactive request: to a runner that has its model, or into the wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from vbatch.contracts.ids import ModelId
from vbatch.contracts.lane import DemandAnswer, LaneResult, LaneState
from vbatch.contracts.models import ModelDefinition
from vbatch.gateway.core.interactive import ENGINE_LOST_MESSAGE, InteractiveRequest
from vbatch.gateway.core.refusals import Reason, Refusal, engine_lost, model_not_loaded
from vbatch.gateway.ports import DemandFeed, LaneAnswer, LaneBroken, LaneRefused, Lanes, LaneUnreachable

STATE_SECONDS_MAX = 1.0
"""While requests come, a runner's state is fetched again after this time."""
DEMAND_SECONDS = 1.0
"""How long an answer of the scheduler is used for all requests that wait for the same model."""
POLL_SECONDS = 0.2
"""The time between two checks whether a model is loaded."""
ANSWER_BYTES_MAX = 64 << 20
"""The largest answer that is not streamed."""
WAITING_MAX = 1_000
"""The most requests that may wait for a model at once."""


@dataclass
class Interactive:
    """`wait_seconds` is how long a client waits for a model that is not loaded."""

    lanes: Lanes
    demands: DemandFeed
    models: Mapping[ModelId, ModelDefinition]
    wait_seconds: float
    waiting_count: int = 0
    _demanded: dict[ModelId, tuple[float, DemandAnswer]] = field(default_factory=dict)
    _refreshed_at: float = float("-inf")
    _refreshing: asyncio.Task[None] | None = field(default=None)

    async def open(self, ask: InteractiveRequest, request_id: str) -> LaneAnswer:
        """Return the answer of an engine as it begins. Raises Refusal."""
        self._refresh_if_old()
        if (answer := await self._tried(ask, request_id)) is not None:
            return answer
        await self._refreshed()
        if (answer := await self._tried(ask, request_id)) is not None:
            return answer
        return await self._waited_for(ask, request_id)

    def watts_of(self, model: ModelId) -> float | None:
        """Return the power that the model's device draws, as its runner last reported; None if it reports none."""
        told = [state.watts for state in self.lanes.states().values() if model in state.ready]
        return next((watts for watts in told if watts is not None), None)

    async def _waited_for(self, ask: InteractiveRequest, request_id: str) -> LaneAnswer:
        """Have the model loaded and wait for it. Raises Refusal."""
        if self.waiting_count >= WAITING_MAX:
            raise Refusal(Reason.LANE_FULL, "Too many requests wait for a model to be loaded. Please try again.")
        deadline = _clock() + self.wait_seconds
        self.waiting_count += 1
        try:
            while True:
                demand = await self._demand(ask.model)
                left = deadline - _clock()
                if demand.is_hopeless or left <= max(0.0, demand.earliest_seconds):
                    raise self._not_loaded(ask.model, demand)
                await asyncio.sleep(min(POLL_SECONDS, left))
                await self._refreshed()
                if (answer := await self._tried(ask, request_id)) is not None:
                    return answer
        finally:
            self.waiting_count -= 1

    async def _demand(self, model: ModelId) -> DemandAnswer:
        """Raises SchedulerUnavailable."""
        at, answer = self._demanded.get(model, (float("-inf"), None))
        if answer is None or _clock() - at > DEMAND_SECONDS:
            answer = await self.demands.ask(model)
            self._demanded[model] = (_clock(), answer)
        return answer

    async def _tried(self, ask: InteractiveRequest, request_id: str) -> LaneAnswer | None:
        """Ask the runners that have the model, the one with the fewest requests first. None if none of them has it.
        Raises Refusal."""
        is_full = False
        for url in self._places(ask.model):
            try:
                return await self.lanes.open(url, ask, request_id)
            except LaneUnreachable:
                continue
            except LaneBroken as error:
                raise engine_lost(ENGINE_LOST_MESSAGE) from error
            except LaneRefused as error:
                is_full = is_full or error.result is LaneResult.FULL
                if refusal := _refusal_for(error):
                    raise refusal from error
        if is_full:
            raise Refusal(Reason.LANE_FULL, "As many requests as may run at once are running. Please try again.")
        return None

    def _places(self, model: ModelId) -> list[str]:
        ready = [url for url, state in self.lanes.states().items() if model in state.ready]
        return sorted(ready, key=self.lanes.inside) if len(ready) > 1 else ready

    def _refresh_if_old(self) -> None:
        """Fetch the states in the background; requests meanwhile use the known states."""
        if _clock() - self._refreshed_at > STATE_SECONDS_MAX and self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refreshed_once())

    async def _refreshed(self) -> None:
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refreshed_once())
        await asyncio.shield(self._refreshing)

    async def _refreshed_once(self) -> None:
        try:
            await self.lanes.refresh()
        finally:
            self._refreshed_at, self._refreshing = _clock(), None

    def _not_loaded(self, model: ModelId, demand: DemandAnswer) -> Refusal:
        words = f"The model '{model}' is not loaded. {demand.message} {loaded_words(self.lanes.states())}"
        return model_not_loaded(words, demand.retry_after_seconds)


async def content_of(answer: LaneAnswer) -> bytes:
    """Return the whole body of an answer that is not streamed. Raises Refusal."""
    pieces, size = list[bytes](), 0
    try:
        async for piece in answer.pieces():
            size += len(piece)
            if size > ANSWER_BYTES_MAX:
                raise engine_lost("The engine's answer is too large.")
            pieces.append(piece)
    except LaneBroken as error:
        raise engine_lost(ENGINE_LOST_MESSAGE) from error
    return b"".join(pieces)


def _refusal_for(error: LaneRefused) -> Refusal | None:
    """Return the refusal of a request that no other runner should get; None if another runner may be tried."""
    match error.result:
        case LaneResult.ENGINE_LOST:
            return engine_lost(ENGINE_LOST_MESSAGE)
        case LaneResult.TIMED_OUT:
            return Refusal(Reason.ENGINE_TIMED_OUT, "The engine did not answer in time.")
        case LaneResult.TOO_LARGE:
            return engine_lost(str(error))
        case _:
            return None


def loaded_words(states: Mapping[str, LaneState]) -> str:
    """Return a sentence about what the devices do now."""
    if not states:
        return "No runner answers."
    ready = sorted({model for state in states.values() for model in state.ready})
    wanted = sorted({state.wanted for state in states.values() if state.wanted is not None} - set(ready))
    loaded = f"Loaded now: {', '.join(ready)}." if ready else "No model is loaded now."
    return f"{loaded} Next: {', '.join(wanted)}." if wanted else loaded


def _clock() -> float:
    return asyncio.get_running_loop().time()
