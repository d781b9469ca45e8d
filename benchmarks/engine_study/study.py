"""The rounds: every peer on each of its files, one engine at a time, and the resulting figures."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.engine_study import laps
from benchmarks.engine_study.bench import Bench
from benchmarks.engine_study.by_hand import by_hand
from benchmarks.engine_study.laps import Lap, Peer, Setup
from benchmarks.engine_study.ours import ours
from benchmarks.engine_study.programs import infinite_cache
from benchmarks.engine_study.run_batch import RunBatch
from benchmarks.engine_study.workloads import Sizes, Workload, workloads
from vbatch.chassis.files import hold_lock
from vbatch.contracts.models import ModelDefinition
from vbatch.gateway.core.model_file import read_model_file
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.engine.pool.model_files import shape_of_source
from vbatch.gpu_runner.adapters.engine.process.child import Child, ProcessPaths
from vbatch.gpu_runner.core.command import EngineCommand
from vbatch.gpu_runner.core.profile import profile_on

SLOW_PEERS = (laps.RUN_BATCH, laps.RUN_BATCH_TUNED)
PLAIN, SHARED, TEMPLATES, BATCHES = "plain", "shared", "templates", "batches"
KINDS = (SHARED, TEMPLATES, PLAIN, BATCHES)
ASKED_ABOUT = {
    laps.OURS: KINDS,
    laps.BY_HAND: (SHARED, PLAIN),
    laps.BENCH: (PLAIN,),
    laps.RUN_BATCH: (SHARED, PLAIN),
    laps.RUN_BATCH_TUNED: (PLAIN,),
}
PEERS = (laps.OURS, laps.BY_HAND, laps.BENCH, laps.RUN_BATCH)
"""The peers that take part unless others are named."""
ONCE = (TEMPLATES, BATCHES)


@dataclass(frozen=True)
class Choices:
    """`only` names kinds of files, `peers` the peers that run them. Round 1 has all of them; the other rounds leave out
    slow peers, and files that only this server runs."""

    model: str
    models_file: Path
    engine_python: Path
    prepared_folder: Path
    rounds: int
    hand_window: int
    sizes: Sizes = field(default_factory=Sizes)
    only: tuple[str, ...] = KINDS
    peers: tuple[str, ...] = PEERS
    is_thorough: bool = False


@dataclass(frozen=True)
class Study:
    """All laps, and the hit share of an infinite prefix cache for each file (by its name, from the first round)."""

    laps: list[Lap]
    infinite_hit_ratios: dict[str, float]


def study(choices: Choices) -> Study:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        setup = asyncio.run(_setup(choices, Path(folder)))
        done = Study([], {})
        for number in range(1, choices.rounds + 1):
            files = [
                workload
                for workload in workloads(setup.definition.id, choices.sizes, number)
                if _kind(workload) in choices.only
            ]
            for lap in _round(setup, choices, files, number):
                done.laps.append(lap)
                sys.stderr.write(f"round {number}: {lap.peer} ran {lap.workload} in {lap.seconds:.1f} s {_said(lap)}\n")
            if number == 1:
                done.infinite_hit_ratios.update((file.name, asyncio.run(infinite_cache(setup, file))) for file in files)
    return done


def _round(setup: Setup, choices: Choices, files: list[Workload], number: int) -> Iterator[Lap]:
    order = [name for name in ASKED_ABOUT if name in choices.peers]
    for name in order if number % 2 else reversed(order):
        asked = [file for file in files if _is_asked(name, file, number, choices)]
        if not asked:
            continue
        with _peer(name, setup, choices) as peer:
            yield from (peer.lap(workload) for workload in asked)


def _is_asked(peer: str, work: Workload, number: int, choices: Choices) -> bool:
    kind = _kind(work)
    if choices.is_thorough:
        return kind in ASKED_ABOUT[peer] or (kind == SHARED and peer != laps.BENCH)
    return kind in ASKED_ABOUT[peer] and (number == 1 or not (peer in SLOW_PEERS or kind in ONCE))


def _peer(name: str, setup: Setup, choices: Choices) -> AbstractContextManager[Peer]:
    started: dict[str, Callable[[], AbstractContextManager[Peer]]] = {
        laps.OURS: lambda: ours(setup),
        laps.BY_HAND: lambda: by_hand(setup, choices.hand_window),
        laps.BENCH: lambda: nullcontext(Bench(setup)),
        laps.RUN_BATCH: lambda: nullcontext(RunBatch(setup, is_tuned=False)),
        laps.RUN_BATCH_TUNED: lambda: nullcontext(RunBatch(setup, is_tuned=True)),
    }
    return started[name]()


async def _setup(choices: Choices, folder: Path) -> Setup:
    found = {str(definition.id): definition for definition in read_model_file(choices.models_file.read_text())}
    if choices.model not in found:
        raise SystemExit(f"{choices.models_file} has no {choices.model}, only {', '.join(found)}")
    at_home = found[choices.model]
    definition = at_home if at_home.hub else await _in_folder(at_home, choices)
    device = await detect()
    shape = shape_of_source(definition.hub or definition.folder or "")
    completed = profile_on(definition, device, shape).definition
    return Setup(at_home, completed, device, choices.engine_python, choices.models_file, folder)


async def _in_folder(definition: ModelDefinition, choices: Choices) -> ModelDefinition:
    """The definition with its source as a folder, which every program understands; created on first use."""
    target = Path(definition.folder or choices.prepared_folder / (definition.package or ""))
    target.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(target.parent / "lock"):
        if not target.is_dir():  # noqa: ASYNC240  # nothing else runs yet
            await _prepare(definition.package or "", target, choices)
    return msgspec.structs.replace(definition, package=None, folder=str(target))


async def _prepare(package: str, target: Path, choices: Choices) -> None:
    script = Path(__file__).parents[2] / "deploy" / "engine" / "prepare_model.py"
    command = EngineCommand((str(choices.engine_python), str(script), package, str(target)))
    child = await Child.start(command, ProcessPaths(target.with_suffix(".log"), target.with_suffix(".pids"), 3.0))
    if await child.wait():
        raise SystemExit(f"{package} could not be prepared: {child.last_words()}")


def _kind(work: Workload) -> str:
    return work.name.partition("_")[0]


def _said(lap: Lap) -> str:
    return " ".join(f"{name}={value:.3f}" for name, value in lap.more.items())
