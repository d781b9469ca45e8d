"""The runner as a process on a real nats-server: killed, stopped, fenced. Nothing of the engine may outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.integration.gpu_runner.conftest import RUNNER, Bench, of_type, outcomes_of, simulated
from tests.support.nats import nats_server
from tests.support.paths import paths_below
from vbatch.chassis.blobs.local import LocalBlobs
from vbatch.contracts import codec
from vbatch.contracts.events import Event, ModelLoaded, RunnerLeased, RunnerStopped
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.models import ModelDefinition
from vbatch.journal.jetstream import connect
from vbatch.journal.settings import JournalSettings

pytestmark = pytest.mark.integration

STORE_MAX = "16GB"
"""Room for streams of the sizes that the runner itself asks for; little of it is used."""
GONE_SECONDS_MAX = 2.0


@asynccontextmanager
async def real_bench(home: Path) -> AsyncIterator[tuple[Bench, str]]:
    async with nats_server(file_store_max=STORE_MAX) as server:
        async with connect(JournalSettings(server.url, "test")) as journal:
            await journal.topology()
            yield Bench(journal, LocalBlobs(home / "blobs")), server.url


@contextmanager
def runner_process(
    home: Path, url: str, port: int = 0, *, has_standby: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "VBATCH_HOME": str(home),
        "VBATCH_NATS_URL": url,
        "VBATCH_GPU_RUNNER_PORT": str(port),
        "VBATCH_GPU_RUNNER_PROBE_SECONDS": "0.2",
        "VBATCH_GPU_RUNNER_HAS_STANDBY": str(has_standby),
    }
    with (home / "runner.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "vbatch.gpu_runner"], env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def leased(bench: Bench, times: int = 1) -> None:
    """Take over the epoch of the newest lease, once there have been so many."""
    await bench.wait(lambda seen: len(of_type(seen, RunnerLeased)) >= times)
    lease = await bench.journal.log.last(f"evt.runner.{RUNNER}.lease")
    assert lease is not None
    bench.epoch = lease.sequence


async def engine_processes(home: Path, slot: int = 0) -> list[psutil.Process]:
    """The guard and all it guards, once its record on disk holds the engine and its stubborn grandchild.

    A standby has as many: what takes its order, what tracks its resources, what has imported the engine.
    """
    record = home / "run" / RUNNER / f"engine-{slot}.pids"
    async with asyncio.timeout(10):
        while not record.exists() or len(lines := record.read_text().splitlines()) < 4:  # noqa: ASYNC110 - another's
            await asyncio.sleep(0.05)
    return [psutil.Process(int(line.split()[0])) for line in lines[1:]]


def alive(processes: list[psutil.Process]) -> list[int]:
    """Those that are not gone in time."""
    _, living = psutil.wait_procs(processes, timeout=GONE_SECONDS_MAX)
    return [process.pid for process in living if process.status() != psutil.STATUS_ZOMBIE]


def stubborn(latency_seconds: float = 0.0) -> ModelDefinition:
    """An engine with a process in a session of its own that ignores SIGTERM."""
    return simulated("small", fork_grandchild=True, latency_seconds=latency_seconds)


async def test_nothing_of_the_engine_outlives_a_killed_runner(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(stubborn(latency_seconds=30))
        with runner_process(home, url) as process:
            await leased(bench)
            await bench.run_slice("small", 3)
            await bench.loaded("small")
            processes = await engine_processes(home)
            assert sockets(home)
            process.kill()
            assert await asyncio.to_thread(alive, processes) == []
            assert sockets(home) == []


async def test_nothing_of_the_engine_outlives_a_killed_guard(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(stubborn(latency_seconds=30))
        with runner_process(home, url):
            await leased(bench)
            await bench.run_slice("small", 3)
            await bench.loaded("small")
            guard, *others = await engine_processes(home)
            guard.kill()
            assert await asyncio.to_thread(alive, others) == []


async def test_the_next_life_sweeps_what_a_killed_guard_left(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(stubborn())
        with runner_process(home, url) as process:
            await leased(bench)
            await bench.run_slice("small", 1)
            await bench.loaded("small")
            guard, *others = await engine_processes(home)
            process.kill()
            guard.kill()
        with runner_process(home, url):
            await leased(bench, times=2)
            assert await asyncio.to_thread(alive, others) == []


async def test_nothing_of_a_standby_outlives_a_killed_runner(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(simulated("small"))
        await bench.register(simulated("large"))
        with runner_process(home, url, has_standby=True) as process:
            await leased(bench)
            await bench.run_slice("small", 1, steer={1: {"hang": True}})
            await bench.run_slice("large", 1)
            processes = await engine_processes(home, slot=1)
            process.kill()
            assert await asyncio.to_thread(alive, processes) == []
            assert sockets(home) == []


async def test_a_new_life_runs_new_orders_and_drops_the_old_ones(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(simulated("small"))
        with runner_process(home, url):
            await leased(bench)
            stale = await bench.run_slice("small", 3, steer={line: {"hang": True} for line in (1, 2, 3)})
            await bench.loaded("small")
        with runner_process(home, url):
            await leased(bench, times=2)
            fresh = await bench.run_slice("small", 3)
            await bench.outcomes(fresh, 3)
            assert outcomes_of(await bench.events(), stale) == []


async def test_sigterm_returns_open_lines_and_exits_well(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(stubborn(latency_seconds=30))
        with runner_process(home, url) as process:
            await leased(bench)
            slice_id = await bench.run_slice("small", 3, steer={1: {"latency_seconds": 0}})
            await bench.outcomes(slice_id, 1)
            processes = await engine_processes(home)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 10) == 0
            assert await asyncio.to_thread(alive, processes) == []
        returned = await bench.returned(slice_id)
        events = await bench.wait(lambda seen: bool(of_type(seen, RunnerStopped)))
        assert returned.reason is ReturnReason.STOPPING and returned.lines == (2, 3)
        assert isinstance(events[-1], RunnerStopped)


async def test_a_fenced_runner_ends_and_takes_its_engine_along(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(stubborn())
        with runner_process(home, url) as process:
            await leased(bench)
            await bench.outcomes(await bench.run_slice("small", 1), 1)
            processes = await engine_processes(home)
            usurper = RunnerLeased(at=datetime.now(UTC), runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1)
            await bench.journal.log.acquire(codec.encode(usurper, source="test"))
            await bench.run_slice("small", 1)
            assert await asyncio.to_thread(process.wait, 10) != 0
            assert await asyncio.to_thread(alive, processes) == []


async def test_health_and_metrics_tell_what_it_does(home: Path):
    port = free_port()
    async with real_bench(home) as (bench, url):
        await bench.register(simulated("small"))
        with runner_process(home, url, port):
            await leased(bench)
            await bench.outcomes(await bench.run_slice("small", 3), 3)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                ready = await (await session.get("/ready")).json()
                metrics = await (await session.get("/metrics")).text()
                engine = await (await session.get("/metrics/engine")).text()
    assert ready["status"] == "ready"
    assert ready["checks"]["engine"]["detail"].startswith("serving small, ")
    assert 0 < metric(metrics, "vbatch_runner_swap_first_answer_seconds") < 15
    assert 'vbatch_runner_requests_total{model="small",result="succeeded"} 3.0' in metrics
    assert metric(metrics, "vbatch_runner_engine_prompt_tokens_total") > 0
    assert 'vllm:prompt_tokens_total{model_name="small"}' in engine


async def test_a_killed_engine_is_an_event_and_the_next_order_starts_another(home: Path):
    async with real_bench(home) as (bench, url):
        await bench.register(stubborn(latency_seconds=0.1))
        with runner_process(home, url):
            await leased(bench)
            slice_id = await bench.run_slice("small", 3, steer={2: {"hang": True}})
            await bench.outcomes(slice_id, 2)
            _, *others = await engine_processes(home)
            os.kill(others[0].pid, signal.SIGKILL)
            returned = await bench.returned(slice_id)
            assert returned.lines == returned.suspects == (2,)
            assert await asyncio.to_thread(alive, others) == []
            await bench.outcomes(await bench.run_slice("small", 3), 3)
            assert loads_in(await bench.events()) == 2


def sockets(home: Path) -> list[Path]:
    """Of engines and standbys, whether anyone listens or not."""
    return [path for path in paths_below(home / "run") if path.is_socket()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def metric(metrics: str, name: str) -> float:
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(name + " "))


def loads_in(events: list[Event]) -> int:
    return len(of_type(events, ModelLoaded))
