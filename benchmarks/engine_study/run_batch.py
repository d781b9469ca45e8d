"""`vllm run-batch`, one process for each file. Time starts when its log says that it reads the file, after loading."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks.engine_study import laps, vllm_commands
from benchmarks.engine_study.laps import Lap, Setup
from benchmarks.engine_study.programs import POLL_SECONDS, at_defaults, check_answers, running, tuned
from benchmarks.engine_study.workloads import Workload
from vbatch.gpu_runner.adapters.engine.process.child import Child
from vbatch.gpu_runner.core.command import EngineCommand

BEGAN = b"Reading batch from"
"""The line that it logs once its engine is loaded, before it reads the first line of the file."""


class RunBatch:
    def __init__(self, setup: Setup, *, is_tuned: bool) -> None:
        self.name = laps.RUN_BATCH_TUNED if is_tuned else laps.RUN_BATCH
        self._setup = setup
        self._is_tuned = is_tuned

    def lap(self, work: Workload) -> Lap:
        return asyncio.run(self._lap(work))

    async def _lap(self, work: Workload) -> Lap:
        source, target = work.write(self._setup.folder / "in.jsonl"), self._setup.folder / "out.jsonl"
        target.unlink(missing_ok=True)
        launched = time.monotonic()
        async with running(self._setup, self._command(source, target), self.name) as (child, log):
            while BEGAN not in log.read_bytes():
                await _pause(child)
            began = time.monotonic()
            while not _has_lines(target, len(work.lines)):
                await _pause(child)
            ended = time.monotonic()
        check_answers(target.read_bytes().splitlines(), work)
        load, total = began - launched, ended - launched
        more = {"load_seconds": load, "requests_per_second_with_load": len(work.lines) / total}
        return Lap(self.name, work.name, len(work.lines), ended - began, more)

    def _command(self, source: Path, target: Path) -> EngineCommand:
        arguments, environment = tuned(self._setup) if self._is_tuned else at_defaults(self._setup)
        files = ("-i", str(source), "-o", str(target))
        head = (str(self._setup.engine_python), vllm_commands.__file__, "run-batch")
        return EngineCommand((*head, *files, *arguments), environment)


async def _pause(child: Child) -> None:
    if not child.is_running:
        raise SystemExit(f"vllm run-batch ended too early: {child.last_words()}")
    await asyncio.sleep(POLL_SECONDS)


def _has_lines(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= count
