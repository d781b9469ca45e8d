"""The interactive lane: requests that clients wait for go to an engine that is loaded, ahead of batch requests.

None of them is recorded. A request whose model is not loaded is refused here; the gateway asks the scheduler for the
model and comes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType

import structlog

from vbatch.contracts.ids import ModelId
from vbatch.contracts.lane import REQUEST_HEADER, DeviceProcess, LaneState
from vbatch.gpu_runner.flows.engine_session import EngineSession
from vbatch.gpu_runner.flows.lane_traffic import LaneTraffic
from vbatch.gpu_runner.ports import ConnectionLost, Engine, Launcher, OpenAnswer

PRIORITY_HEADERS: Mapping[str, str] = {"X-Vllm-Priority": "-1"}
"""vLLM runs lower priorities first; batch requests have 0."""

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


class NotServed(Exception):
    """Raised when the model does not answer on this runner now."""


class LaneFull(Exception):
    """Raised when as many interactive requests as may run at once are running."""


@dataclass
class Lane:
    """`session` has the engine that batches use, `launcher` those that stay loaded beside it."""

    session: EngineSession
    launcher: Launcher
    traffic: LaneTraffic
    requests_max: int
    watts: float | None = None
    """The power that the device drew at the last reading; None if it does not report it."""
    processes: tuple[DeviceProcess, ...] | None = None
    """What held memory of the device at the last reading; None if it does not report it."""

    def open(
        self, model: ModelId, endpoint: str, body: bytes, request_id: str
    ) -> AbstractAsyncContextManager[OpenAnswer]:
        """Send one request and yield its answer while it arrives; leaving the block early takes the request back.

        Raises NotServed and LaneFull at once; the block raises ConnectionLost, RequestTimedOut, AnswerTooLarge.
        """
        engine = self._engine(model)
        if engine is None:
            raise NotServed(model)
        if self.traffic.inside_count >= self.requests_max:
            raise LaneFull
        priority = PRIORITY_HEADERS if engine.has_priority else {}
        return _LaneAnswer(self, model, engine.open(endpoint, body, {REQUEST_HEADER: request_id, **priority}))

    def state(self) -> LaneState:
        loaded = self.session.model_answering
        residents = () if self.session.drain.is_active else self.launcher.residents
        ready = {*residents, *([loaded] if loaded else [])}
        return LaneState(
            runner_id=self.session.runner_id,
            epoch=self.session.epoch,
            ready=tuple(sorted(ready)),
            wanted=self.session.feed.model_wanted,
            inside=self.traffic.inside_count,
            places=max(0, self.requests_max - self.traffic.inside_count),
            watts=self.watts,
            processes=self.processes,
        )

    def _engine(self, model: ModelId) -> Engine | None:
        if self.session.model_answering == model:
            return self.session.engine
        return None if self.session.drain.is_active else self.launcher.resident(model)


class _LaneAnswer:
    """One answer, counted as inside while the block runs. This is a class because a generator with the same steps costs
    several times as much."""

    def __init__(self, lane: Lane, model: ModelId, answer: AbstractAsyncContextManager[OpenAnswer]) -> None:
        self._lane = lane
        self._model = model
        self._answer = answer

    async def __aenter__(self) -> OpenAnswer:
        self._lane.traffic.enter(self._model)
        try:
            return await self._answer.__aenter__()
        except BaseException as error:
            await self._left(error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._answer.__aexit__(kind, error, trace)
        finally:
            await self._left(error)

    async def _left(self, error: BaseException | None) -> None:
        self._lane.traffic.leave(self._model)
        if isinstance(error, ConnectionLost):
            await self._lane.launcher.forget(self._model)
