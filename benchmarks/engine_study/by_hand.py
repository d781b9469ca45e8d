"""What an engineer would write instead: a grouped file, an asyncio client with limited concurrency, and a tuned `vllm
serve`."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.engine_study import laps
from benchmarks.engine_study.counters import Watch
from benchmarks.engine_study.laps import Lap, Setup
from benchmarks.engine_study.workloads import CHAT, Workload, warm_up
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher, RunningEngine
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.limits import Limits


class ByHand:
    name = laps.BY_HAND

    def __init__(self, setup: Setup, engine: RunningEngine, socket: Path, loop: asyncio.Runner, window: int) -> None:
        self._setup, self._engine, self._socket, self._loop, self._window = setup, engine, socket, loop, window

    def lap(self, work: Workload) -> Lap:
        with Watch(self._socket, len(work.lines), self._setup.runs_at_once, work.is_watched) as watch:
            began = time.monotonic()
            self._keep(self._loop.run(self._answers(work.by_hand)))
            seconds = time.monotonic() - began
        return Lap(self.name, work.name, len(work.lines), seconds, watch.figures())

    async def _answers(self, lines: Sequence[bytes]) -> list[bytes]:
        places = asyncio.Semaphore(self._window)
        bodies = [json.dumps(json.loads(line)["body"]).encode() for line in lines]

        async def one(body: bytes) -> bytes:
            async with places:
                answer = await self._engine.ask(CHAT, body)
            if answer.status_code != 200:
                raise SystemExit(f"the engine answered {answer.status_code}: {answer.body[:500]!r}")
            return answer.body

        return await asyncio.gather(*map(one, bodies))

    def _keep(self, answers: list[bytes]) -> None:
        with (self._setup.folder / "out.jsonl").open("wb") as file:
            file.write(b"\n".join(answers))
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def by_hand(setup: Setup, window: int) -> Iterator[ByHand]:
    shop = RunnerPaths(setup.folder, laps.BY_HAND, setup.engine_python, setup.engine_python)
    launcher = EngineLauncher(shop, setup.device, Limits(has_standby=False))
    with asyncio.Runner() as loop:
        engine = loop.run(launcher.launch(setup.definition))
        try:
            peer = ByHand(setup, engine, shop.socket(0), loop, window)
            peer.lap(warm_up(setup.definition.id))
            yield peer
        finally:
            loop.run(engine.stop())
