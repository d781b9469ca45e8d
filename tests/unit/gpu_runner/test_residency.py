"""What depends on the very order of the loop's turns, on an engine that lives in the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.support.events import NOON
from tests.unit.gpu_runner.test_feed import order, requests_of
from vbatch.contracts.events import ModelRegistered
from vbatch.contracts.ids import BatchId, RunnerId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.figures import Figures
from vbatch.gpu_runner.core.registry import Registry
from vbatch.gpu_runner.flows.lease_watch import LeaseWatch
from vbatch.gpu_runner.flows.pulse import Pulse
from vbatch.gpu_runner.flows.recorder import Recorder
from vbatch.gpu_runner.flows.residency import Residency
from vbatch.gpu_runner.limits import Limits
from vbatch.gpu_runner.ports import Answer
from vbatch.journal.room import Room

SMALL = ModelDefinition(id=order("s").model, engine=EngineKind.SIMULATED)


class SilentEngine:
    """Takes every request and answers none."""

    definition = SMALL
    window = 4

    def __init__(self) -> None:
        self.asked = 0
        self.is_full = asyncio.Event()

    async def ask(self, endpoint: str, body: bytes) -> Answer:
        self.asked += 1
        if self.asked == self.window:
            self.is_full.set()
        await asyncio.Event().wait()
        raise AssertionError("it waits for ever")

    async def is_healthy(self) -> bool:
        return True

    async def progress(self) -> str | None:
        return None

    async def gone(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def stop(self) -> None:
        return None


class InstantLauncher:
    """`then` runs after the requests are handed out and before any of them has begun."""

    def __init__(self, engine: SilentEngine, then: Callable[[], None]) -> None:
        self._engine = engine
        self._then = then

    async def close(self) -> None:
        return None

    async def launch(self, definition: ModelDefinition) -> SilentEngine:
        asyncio.get_running_loop().call_soon(self._then)
        return self._engine


class NoFiles:
    async def put(self, blob: str, body: bytes) -> None:
        raise AssertionError("no answer is that large")


async def test_requests_recalled_before_they_began_leave_no_hole_in_the_window():
    feed, registry, changed, engine = Feed(), Registry(), Pulse(), SilentEngine()
    registry.evolve(ModelRegistered(at=NOON, model=SMALL))
    recorder = Recorder(RunnerId("gpu0"), 1, Figures(), Limits(), changed, Room())

    def fill(name: str, batch: str) -> None:
        it = order(name, batch=batch, lines=8)
        feed.open(it, 0.0)
        feed.load(it.slice_id, requests_of(it))
        changed.fire()

    def recall() -> None:
        assert feed.inside_count == SilentEngine.window
        for remainder in feed.close_batch(BatchId("b1")):
            residency.abort(remainder)
        fill("s2", "b2")

    launcher = InstantLauncher(engine, recall)
    watch = LeaseWatch(changed, lambda: 0.0)
    residency = Residency(
        RunnerId("gpu0"), 1, launcher, feed, registry, recorder, NoFiles(), changed, Figures(), Limits(), watch
    )
    fill("s1", "b1")
    serving = asyncio.create_task(residency.serve())
    async with asyncio.timeout(5):
        await engine.is_full.wait()
    serving.cancel()
    await asyncio.wait([serving])
    assert feed.inside_count == SilentEngine.window
