"""vLLM's own programs as the peers start them: with the profile of models.toml, or with their defaults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from benchmarks.engine_study import prefixes
from benchmarks.engine_study.laps import Setup
from benchmarks.engine_study.workloads import Workload
from vbatch.gpu_runner.adapters.engine.process.child import Child, ProcessPaths
from vbatch.gpu_runner.core.command import EngineCommand, Places, effective_arguments, engine_command

POLL_SECONDS = 0.05
STOP_SECONDS = 3.0
KV_VARIABLE, KV_ARGUMENT = "VLLM_CPU_KVCACHE_SPACE", "kv-cache-memory-bytes"
BLOCK_ARGUMENT, BLOCK_TOKENS_DEFAULT = "block-size", 16


def tuned(setup: Setup) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The arguments and environment that our runner gives this model."""
    command = engine_command(setup.definition, setup.device, Places("", "", "", source(setup)))
    return command.arguments[command.arguments.index("--model") :], command.environment


def at_defaults(setup: Setup) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The program's own arguments and environment, plus the model and the same cache size: with a larger cache a file
    would be a different problem."""
    arguments, environment = tuned(setup)
    kept = {name: value for name, value in environment.items() if name not in own_environment(setup)}
    kept.pop("VLLM_CPU_OMP_THREADS_BIND", None)
    if room := environment.get(KV_VARIABLE):
        kept[KV_VARIABLE] = room
    sized = effective_arguments(setup.definition, setup.device).get(KV_ARGUMENT)
    return (*arguments[:4], *(() if sized is None else (f"--{KV_ARGUMENT}", str(sized)))), kept


def own_environment(setup: Setup) -> Mapping[str, str]:
    return {**setup.definition.environment, **setup.definition.cpu.environment}


def source(setup: Setup) -> str:
    return setup.definition.hub or setup.definition.folder or ""


@asynccontextmanager
async def running(setup: Setup, command: EngineCommand, name: str) -> AsyncIterator[tuple[Child, Path]]:
    """Run the program; yields it and its log, and leaves no process behind."""
    desk = ProcessPaths(setup.folder / f"{name}.log", setup.folder / f"{name}.pids", STOP_SECONDS)
    child = await Child.start(command, desk)
    try:
        yield child, desk.log
    finally:
        await child.stop()


async def infinite_cache(setup: Setup, work: Workload, sharegpt: Path | None = None) -> float:
    """The share of the file's tokens that an infinite cache finds; `sharegpt` gets the file as vLLM reads it."""
    file = work.write(setup.folder / "prefixes.jsonl")
    block = effective_arguments(setup.definition, setup.device).get(BLOCK_ARGUMENT, BLOCK_TOKENS_DEFAULT)
    words = [str(setup.engine_python), prefixes.__file__, source(setup), str(file), str(block)]
    process = await asyncio.create_subprocess_exec(
        *words, *([str(sharegpt)] if sharegpt else []), stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise SystemExit("the file's prefixes could not be counted")
    counts = json.loads(told)
    return float(counts["hit_tokens"] / counts["tokens"])


def check_answers(answers: list[bytes], work: Workload) -> None:
    """Exit unless every request has its answer."""
    named = {msgspec.json.decode(answer)["custom_id"] for answer in answers}
    asked = {msgspec.json.decode(line)["custom_id"] for line in work.lines}
    failed = [answer for answer in answers if msgspec.json.decode(answer).get("error")]
    if named != asked or failed:
        raise SystemExit(f"{len(asked - named)} answers are missing, {len(failed)} are errors: {failed[:1]}")
