"""A runner in this process on an in-memory journal, with real engines as child processes and real files."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psutil
import pytest

from vbatch.chassis.blobs.local import LocalBlobs
from vbatch.chassis.clock import utc_now
from vbatch.chassis.process import Stop
from vbatch.contracts import codec, subjects
from vbatch.contracts.events import (
    ChunkCompleted,
    Event,
    ModelLoaded,
    ModelRegistered,
    Outcome,
    RequestError,
    RunnerLeased,
    SliceReturned,
)
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import BatchId, ModelId, RunnerId, SliceId
from vbatch.contracts.models import ArgumentValue, EngineKind, ModelDefinition
from vbatch.contracts.orders import CancelBatch, FailSlice, PauseBatch, RequestRef, RunSlice, WorkOrder, encode_order
from vbatch.gpu_runner.adapters.blobs import BlobFiles
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import ModelCache
from vbatch.gpu_runner.adapters.engine.pool.trials import Trials
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.adapters.tuned_files import TunedFiles
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.flows.runner import Dependencies, Runner
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Journal
from vbatch.journal.quarantine import CrashNotes, ForgottenNotes, QuarantineMeans
from vbatch.journal.settings import JournalSettings

RUNNER = RunnerId("gpu0")
ORDERS_MAX = 16
CHAT = "/v1/chat/completions"
BATCH = BatchId("batch_0123456789abcdef0123456789abcdef")
OTHER_BATCH = BatchId("batch_fedcba9876543210fedcba9876543210")
Steers = dict[int, dict[str, Any]]
"""Line → what the simulator is to do with it."""
E = TypeVar("E", bound=Event)
LIMITS = Limits(
    probe_seconds=0.1,
    startup_seconds_max=20.0,
    engine_stop_seconds=1.0,
    model_wait_seconds=0.5,
    has_standby=False,
)
GONE_SECONDS_MAX = 3.0


def simulated(model: str, *, max_num_seqs: int = 128, **arguments: ArgumentValue) -> ModelDefinition:
    return ModelDefinition(
        id=ModelId(model), engine=EngineKind.SIMULATED, max_num_seqs=max_num_seqs, arguments=arguments
    )


@dataclass
class Bench:
    """Puts orders, watches the log. `slices` counts the slices it has made."""

    journal: Journal
    blobs: LocalBlobs
    epoch: int = 0
    slices: int = 0

    async def register(self, *definitions: ModelDefinition) -> None:
        for definition in definitions:
            await self.journal.log.append(
                codec.encode(ModelRegistered(at=datetime.now(UTC), model=definition), source="test")
            )

    async def run_slice(
        self, model: str, count: int, *, batch: BatchId = BATCH, steer: Steers | None = None
    ) -> SliceId:
        """A slice of `count` chat requests; `steer` tells the simulator what to do with which line."""
        blob, requests = await self._input(model, count, steer or {})
        slice_id = self._next_slice()
        order = RunSlice(
            epoch=self.epoch,
            batch_id=batch,
            slice_id=slice_id,
            model=ModelId(model),
            endpoint=CHAT,
            blob=blob,
            attempt=1,
            requests=requests,
        )
        await self.put(order)
        return slice_id

    async def fail_slice(self, model: str, count: int) -> SliceId:
        blob, requests = await self._input(model, count, {})
        slice_id = self._next_slice()
        order = FailSlice(
            epoch=self.epoch,
            batch_id=BATCH,
            slice_id=slice_id,
            model=ModelId(model),
            blob=blob,
            requests=requests,
            fault=RequestError(code=RequestFault.MODEL_UNAVAILABLE, message="No engine came up."),
        )
        await self.put(order)
        return slice_id

    async def recall(self, batch: BatchId = BATCH) -> None:
        await self.put(CancelBatch(epoch=self.epoch, batch_id=batch))

    async def hold(self, *, pause: int, batch: BatchId = BATCH) -> None:
        await self.put(PauseBatch(epoch=self.epoch, batch_id=batch, pause=pause))

    async def put(self, order: WorkOrder) -> None:
        await self.journal.work.put(encode_order(order, subject=subjects.work(RUNNER, order.epoch)))

    async def wait(self, wanted: Callable[[list[Event]], bool], seconds: float = 15.0) -> list[Event]:
        """All events of the log, as soon as they are what is wanted."""
        seen: list[Event] = []
        async with asyncio.timeout(seconds), self.journal.log.tail(0) as arrivals:
            async for records in arrivals:
                seen += [codec.decode(record) for record in records]
                if wanted(seen):
                    return seen
        raise AssertionError("the log ended")

    async def events(self) -> list[Event]:
        """Every event that the log holds now."""
        newest, seen = await self.journal.log.last_sequence(), 0
        found: list[Event] = []
        async with asyncio.timeout(15), self.journal.log.tail(0) as arrivals:
            while seen < newest:
                records = await anext(arrivals)
                found += [codec.decode(record) for record in records]
                seen = records[-1].sequence
        return found

    async def outcomes(self, slice_id: SliceId, count: int, seconds: float = 15.0) -> list[Outcome]:
        events = await self.wait(lambda seen: len(outcomes_of(seen, slice_id)) >= count, seconds)
        return outcomes_of(events, slice_id)

    async def returned(self, slice_id: SliceId, seconds: float = 15.0) -> SliceReturned:
        def found(seen: list[Event]) -> list[SliceReturned]:
            return [event for event in of_type(seen, SliceReturned) if event.slice_id == slice_id]

        return found(await self.wait(lambda seen: bool(found(seen)), seconds))[0]

    async def loaded(self, model: str, seconds: float = 15.0) -> ModelLoaded:
        def found(seen: list[Event]) -> list[ModelLoaded]:
            return [event for event in of_type(seen, ModelLoaded) if event.model == model]

        return found(await self.wait(lambda seen: bool(found(seen)), seconds))[-1]

    def _next_slice(self) -> SliceId:
        self.slices += 1
        return SliceId(f"s-{self.epoch}-{self.slices}")

    async def _input(self, model: str, count: int, steer: Steers) -> tuple[str, tuple[RequestRef, ...]]:
        blob, pieces, requests, offset = f"files/in-{self.slices + 1}", [], [], 0
        for line in range(1, count + 1):
            raw = input_line(model, line, steer.get(line))
            requests.append(RequestRef(line, offset, len(raw)))
            pieces.append(raw + b"\n")
            offset += len(raw) + 1
        async with self.blobs.writer(blob) as writer:
            await writer.write(b"".join(pieces))
        return blob, tuple(requests)


def input_line(model: str, line: int, steer: dict[str, Any] | None = None) -> bytes:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": f"question {line}"}]}
    if steer:
        body["simulate"] = steer
    return msgspec.json.encode({"custom_id": f"c{line}", "method": "POST", "url": CHAT, "body": body})


def of_type(events: list[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def outcomes_of(events: list[Event], slice_id: SliceId) -> list[Outcome]:
    chunks = [event for event in of_type(events, ChunkCompleted) if event.slice_id == slice_id]
    return [outcome for chunk in chunks for outcome in chunk.outcomes]


@dataclass
class Life:
    """A running runner; leaving its block asks it to stop and waits for it."""

    runner: Runner
    stop: Stop
    task: asyncio.Task[None]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await self.runner.changed.wait()


@asynccontextmanager
async def living(
    bench: Bench,
    home: Path,
    limits: Limits = LIMITS,
    *,
    notes: CrashNotes | None = None,
    engine_python: Path = Path("python-of-vllm"),
    device: Device | None = None,
) -> AsyncIterator[Life]:
    paths = RunnerPaths(home, RUNNER, engine_python, Path("prepare_model.py"))
    device = device or await detect()
    files = BlobFiles(bench.blobs)
    launcher = ModelCache(EngineLauncher(paths, device, limits), device, limits, asyncio.get_running_loop().time)
    dependencies = Dependencies(
        journal=bench.journal,
        launcher=launcher,
        input_files=files,
        answer_files=files,
        device=device,
        now=utc_now,
        means=QuarantineMeans(notes or ForgottenNotes()),
        trials=Trials.beside(paths, device, limits),
        tuned=TunedFiles(home / "tuned", device, engine_python),
    )
    runner = Runner(RUNNER, os.getpid(), dependencies, limits)
    stop = Stop()
    task = asyncio.create_task(runner.run(stop))
    try:
        await bench.wait(lambda seen: bool(of_type(seen, RunnerLeased)))
        lease = await bench.journal.log.last(f"evt.runner.{RUNNER}.lease")
        assert lease is not None
        bench.epoch = lease.sequence
        yield Life(runner, stop, task)
    finally:
        stop.request("the test is over")
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: Unix sockets have little room."""
    folder = Path(tempfile.mkdtemp(prefix="vb-"))
    yield folder
    deadline = time.monotonic() + GONE_SECONDS_MAX
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a killed runner's guards end after it
    shutil.rmtree(folder)
    assert left == [], "every engine is to be stopped by the end of a test"


def processes_of(folder: Path) -> list[psutil.Process]:
    """Whoever started them."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]


def memory_journal() -> MemoryJournal:
    settings = replace(JournalSettings("nats://unused", "test"), work_in_flight_max=ORDERS_MAX)
    return MemoryJournal(settings, lambda: datetime.now(UTC))


@pytest.fixture
def bench(home: Path) -> Bench:
    return Bench(memory_journal(), LocalBlobs(home / "blobs"))
