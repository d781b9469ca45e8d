"""`vllm bench throughput` with the profile's arguments on the file's own prompts: no server, no files, nothing kept.

Its rate is the upper limit for everything around this engine.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from benchmarks.engine_study import laps, vllm_commands
from benchmarks.engine_study.laps import Lap, Setup
from benchmarks.engine_study.programs import infinite_cache, running, tuned
from benchmarks.engine_study.workloads import CHAT_ANSWER_TOKENS, WARM_UP_REQUESTS, Workload
from vbatch.gpu_runner.core.command import EngineCommand


class Bench:
    name = laps.BENCH

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def lap(self, work: Workload) -> Lap:
        return asyncio.run(self._lap(work))

    async def _lap(self, work: Workload) -> Lap:
        requests, target = len(work.lines), self._setup.folder / "bench.json"
        dataset = self._setup.folder / "sharegpt.json"
        await infinite_cache(self._setup, work, dataset)
        async with running(self._setup, self._command(requests, dataset, target), self.name) as (child, _):
            if await child.wait():
                raise SystemExit(f"vllm bench throughput failed: {child.last_words()}")
        told = json.loads(target.read_bytes())
        if told["num_requests"] != requests:
            raise SystemExit(f"vllm bench throughput ran {told['num_requests']} requests, not {requests}")
        return Lap(self.name, work.name, requests, told["elapsed_time"])

    def _command(self, requests: int, dataset: Path, target: Path) -> EngineCommand:
        arguments, environment = tuned(self._setup)
        data = ("--dataset-name", "sharegpt", "--dataset-path", str(dataset), "--num-prompts", str(requests))
        warm = ("--num-warmups", str(WARM_UP_REQUESTS))
        lengths = ("--output-len", str(CHAT_ANSWER_TOKENS), "--output-json", str(target))
        head = (str(self._setup.engine_python), vllm_commands.__file__, "bench-throughput")
        return EngineCommand((*head, *data, *warm, *lengths, *arguments), environment)
