"""What depends on the very order of the loop's turns, on an engine that lives in the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.support.events import NOON
from tests.unit.gpu_runner.test_feed import order, requests_of
from vbatch.contracts.events import EngineOrigin, ModelRegistered
from vbatch.contracts.ids import BatchId, ModelId, RunnerId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.core.profile import Profile
from vbatch.gpu_runner.core.registry import Registry
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.engine_session import EXPECT_SECONDS, EngineSession
from vbatch.gpu_runner.flows.loading import Loading
from vbatch.gpu_runner.flows.recorder import Recorder
from vbatch.gpu_runner.ports import Answer, ConnectionLost, Gate, OpenAnswer, open_gate
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.quarantine import Quarantine, QuarantineMeans
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import FRESH_SECONDS, LeaseFreshness
from vbatch.journal.space_wait import SpaceWait

SMALL = ModelDefinition(id=order("s").model, engine=EngineKind.SIMULATED)
LARGE = ModelDefinition(id=ModelId("large"), engine=EngineKind.SIMULATED)
VLLM = ModelDefinition(id=ModelId("real"), hub="org/real")


class SilentEngine:
    """Takes every request and answers none."""

    definition = SMALL
    concurrency = 4
    places = None
    replicas = ()
    has_priority = True

    def __init__(self) -> None:
        self.asked = 0
        self.is_full = asyncio.Event()

    async def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate, group: int = 0) -> Answer:
        await gate()
        self.asked += 1
        if self.asked == self.concurrency:
            self.is_full.set()
        await asyncio.Event().wait()
        raise AssertionError("it waits for ever")

    @asynccontextmanager
    async def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[OpenAnswer]:
        raise ConnectionLost("nobody asks it interactively")
        yield

    async def is_healthy(self) -> bool:
        return True

    async def progress(self) -> str | None:
        return None

    async def stats(self) -> EngineStats | None:
        return None

    async def metrics(self) -> bytes:
        return b""

    async def gone(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def release(self) -> None:
        return None

    async def stop(self) -> None:
        return None


class InstantLauncher:
    """`then` runs after the requests are handed out and before any of them has begun."""

    def __init__(self, engine: SilentEngine, then: Callable[[], None]) -> None:
        self._engine = engine
        self._then = then
        self.expected = asyncio.Queue[ModelDefinition]()

    async def expect(self, definition: ModelDefinition) -> None:
        self.expected.put_nowait(definition)

    async def origin(self, definition: ModelDefinition) -> EngineOrigin:
        return EngineOrigin(engine=definition.engine)

    async def profile(self, definition: ModelDefinition) -> Profile:
        return Profile(definition, ())

    def resident(self, model: ModelId) -> None:
        return None

    @property
    def residents(self) -> tuple[ModelId, ...]:
        return ()

    async def forget(self, model: ModelId) -> None:
        return None

    async def close(self) -> None:
        return None

    async def launch(self, definition: ModelDefinition) -> SilentEngine:
        asyncio.get_running_loop().call_soon(self._then)
        return self._engine


class NoFiles:
    async def put(self, blob: str, body: bytes) -> None:
        raise AssertionError("no answer is that large")


@dataclass
class Scene:
    """A residency that is about to be given an engine; `seconds` is what its lease watch takes for the time."""

    then: Callable[[], None]
    seconds: float = 0.0
    feed: Feed = field(default_factory=Feed)
    changed: ChangeSignal = field(default_factory=ChangeSignal)
    engine: SilentEngine = field(default_factory=SilentEngine)

    def __post_init__(self) -> None:
        self.registry = registry = Registry()
        for model in (SMALL, LARGE):
            self.register(model)
        self.launcher = InstantLauncher(self.engine, self.then)
        runner, metrics, limits = RunnerId("gpu0"), RunnerMetrics(), Limits()
        letters = MemoryJournal(JournalSettings("nats://x", "x"), lambda: NOON).dead
        quarantine = Quarantine(letters, QuarantineMeans())
        life: dict[str, Any] = {
            "runner_id": runner,
            "epoch": 1,
            "metrics": metrics,
            "limits": limits,
            "now": lambda: NOON,
        }
        recorder = Recorder(**life, caught_up=self.changed, waiting_writes=SpaceWait(), quarantine=quarantine)
        loading = Loading(**life, launcher=self.launcher, registry=registry, recorder=recorder, changed=self.changed)
        self.session = EngineSession(
            **life,
            loading=loading,
            feed=self.feed,
            recorder=recorder,
            answer_files=NoFiles(),
            changed=self.changed,
            freshness=LeaseFreshness(self.changed.fire, lambda: self.seconds),
            quarantine=quarantine,
        )

    def register(self, model: ModelDefinition) -> None:
        self.registry.evolve(ModelRegistered(at=NOON, model=model))

    def fill(self, name: str, batch: str, *, behind: ModelDefinition | None = None) -> None:
        it = msgspec.structs.replace(order(name, batch=batch, lines=8), model_behind=behind and behind.id)
        self.feed.open(it, 0.0)
        self.feed.put(it.slice_id, requests_of(it))
        self.changed.fire()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.session.serve())
        try:
            async with asyncio.timeout(60):
                yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_requests_recalled_before_they_began_leave_no_hole_in_the_window():
    def recall() -> None:
        assert scene.feed.inside_count == SilentEngine.concurrency
        for remainder in scene.feed.close_batch(BatchId("b1")):
            scene.session.abort(remainder)
        scene.fill("s2", "b2")

    scene = Scene(then=recall)
    scene.fill("s1", "b1")
    async with scene.serving():
        await scene.engine.is_full.wait()
    assert scene.feed.inside_count == SilentEngine.concurrency


async def test_requests_handed_out_before_a_freeze_begin_only_once_the_lease_was_looked_at():
    def freeze() -> None:
        scene.seconds += FRESH_SECONDS
        asyncio.get_running_loop().call_later(0.05, woken.set)

    scene, woken = Scene(then=freeze), asyncio.Event()
    scene.fill("s1", "b1")
    async with scene.serving():
        await woken.wait()
        assert scene.feed.inside_count == SilentEngine.concurrency and scene.engine.asked == 0
        scene.session.freshness.note_look(scene.seconds)
        await scene.engine.is_full.wait()


async def test_a_model_whose_work_waits_is_prepared_while_another_works():
    scene = Scene(then=lambda: None)
    scene.fill("s1", "b1", behind=LARGE)
    async with scene.serving():
        assert await scene.launcher.expected.get() == LARGE


async def test_an_engine_that_works_alone_is_left_alone():
    scene = Scene(then=lambda: None)
    scene.fill("s1", "b1")
    async with scene.serving():
        await scene.engine.is_full.wait()
        await asyncio.sleep(2 * EXPECT_SECONDS)
        assert scene.launcher.expected.empty()


async def test_before_anybody_asks_for_a_model_the_start_of_vllm_is_prepared_once():
    scene = Scene(then=lambda: None)
    scene.register(VLLM)
    async with scene.serving():
        assert await scene.launcher.expected.get() == VLLM
        scene.changed.fire()
        await asyncio.sleep(2 * EXPECT_SECONDS)
        assert scene.launcher.expected.empty()


async def test_work_that_is_there_already_is_not_kept_waiting_by_a_preparation():
    scene = Scene(then=lambda: None)
    scene.register(VLLM)
    scene.fill("s1", "b1")
    async with scene.serving():
        await scene.engine.is_full.wait()
        assert scene.launcher.expected.empty()
