"""Requests through a real vllm-router whose servers are simulated engines: one is killed in the middle and comes back,
and each request is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fleets.router import vllm_router
from tests.support.fleet import servers
from tests.support.paths import ROOT
from vbatch.contracts.events import Outcome
from vbatch.contracts.ids import ModelId, RunnerId, SliceId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.pool.model_cache import CachedEngine, ModelCache
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.flows.asking import outcome_from
from vbatch.gpu_runner.ports import open_gate

pytestmark = pytest.mark.timeout(400)

PYTHON = ROOT / ".venv" / "bin" / "python"
CHAT = "/v1/chat/completions"
START_SECONDS_MAX = 180.0
CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)


def body(number: int) -> bytes:
    return b'{"model":"fleet","messages":[{"role":"user","content":"number %d"}]}' % number


@asynccontextmanager
async def engine_at(url: str, home: Path) -> AsyncIterator[CachedEngine]:
    """The engine as a runner has it."""
    definition = ModelDefinition(id=ModelId("fleet"), engine=EngineKind.HTTP, base_url=url, max_num_seqs=16)
    limits = Limits(has_standby=False)
    paths = RunnerPaths(home, RunnerId("gpu0"), PYTHON, home / "prepare.py")
    clock = asyncio.get_running_loop().time
    engine = await ModelCache(EngineLauncher(paths, CPU, limits), CPU, limits, clock).launch(definition)
    try:
        yield engine
    finally:
        await engine.stop()


async def answered(engine: CachedEngine, numbers: Sequence[int], done: list[Outcome]) -> None:
    """Ask as a runner does, as many at once as the engine takes."""
    metrics, limits, waiting = RunnerMetrics(), Limits(), iter(numbers)

    async def ask_on() -> None:
        for number in waiting:
            request = Request(SliceId("s"), number, str(number), CHAT, body(number), number // 10 + 1)
            done.append(await outcome_from(engine, request, limits, metrics, open_gate))

    await asyncio.gather(*(ask_on() for _ in range(48)))


def assert_each_answered_once(done: Sequence[Outcome], count: int) -> None:
    assert sorted(outcome.line for outcome in done) == list(range(count))
    for outcome in done:
        assert outcome.is_success and f"number {outcome.line}" in bytes(outcome.body).decode(), outcome


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(START_SECONDS_MAX):
        while not holds():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.05)


def test_vllm_router_before_two_servers_one_of_which_is_killed(tmp_path: Path):
    count = 2_000
    with servers(tmp_path, 2, "--latency-seconds", "0.2", "--max-num-seqs", "16") as made:
        workers = [server.start().url.removesuffix("/v1") for server in made]
        with vllm_router(workers, tmp_path) as url:

            async def disturbed() -> list[Outcome]:
                done: list[Outcome] = []
                async with engine_at(url, tmp_path) as engine:
                    asking = asyncio.ensure_future(answered(engine, range(count), done))
                    await until(lambda: len(done) >= count // 4)
                    made[0].kill()
                    await until(lambda: len(done) >= count // 2)
                    made[0].start()
                    await asking
                return done

            assert_each_answered_once(asyncio.run(disturbed()), count)
        assert min(server.answered().total() for server in made) > count // 10
