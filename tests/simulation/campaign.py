"""Runs many seeds on the requested number of processes and sums up their results."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import repeat
from multiprocessing import get_context
from typing import Any

from tests.simulation.mutations import MUTATIONS
from tests.simulation.run import Result, run_seed

SEEDS_PER_TURN = 50
LOSS = frozenset({"files_are_whole", "outcomes_stand", "acknowledged_is_kept"})
DOUBLE = frozenset({"each_line_is_owed_once", "an_answered_request_is_never_asked_again", "a_zombie_adds_nothing"})


@dataclass
class Report:
    """`lost` and `duplicated` count the seeds in which a check of that kind failed; `redone` counts requests that the
    engine answered again after a crash because their first answer had not been stored."""

    seeds: int = 0
    steps: int = 0
    simulated_seconds: float = 0.0
    wall_seconds: float = 0.0
    seeds_per_second: float = 0.0
    events: int = 0
    batches: int = 0
    lines_in_files: int = 0
    asked: int = 0
    redone: int = 0
    engine_crashes: int = 0
    restored: int = 0
    lost: int = 0
    duplicated: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.steps += result.steps
        self.simulated_seconds = round(self.simulated_seconds + result.seconds, 3)
        self.events += result.events
        self.batches += result.batches
        self.lines_in_files += result.lines
        self.asked += result.asked
        self.redone += result.redone
        self.engine_crashes += result.engine_crashes
        self.restored += result.restored
        self.faults = dict(sorted((Counter(self.faults) + Counter(result.counts)).items()))
        if (violation := result.violation) is not None:
            self.lost += violation.check in LOSS
            self.duplicated += violation.check in DOUBLE
            self.failures.append({"seed": result.seed, "check": violation.check, "text": str(violation)})

    def as_record(self) -> dict[str, Any]:
        return asdict(self)


def planted(mutation: str | None) -> AbstractContextManager[None]:
    return nullcontext() if mutation is None else MUTATIONS[mutation].planted()


def campaign(seeds: Iterable[int], *, processes: int = 1, mutation: str | None = None) -> Report:
    report, began = Report(), time.monotonic()
    for result in _results(list(seeds), processes, mutation):
        report.add(result)
    report.wall_seconds = round(time.monotonic() - began, 3)
    report.seeds_per_second = round(report.seeds / max(report.wall_seconds, 0.001), 1)
    return report


def _results(seeds: list[int], processes: int, mutation: str | None) -> Iterator[Result]:
    turns = [seeds[at : at + SEEDS_PER_TURN] for at in range(0, len(seeds), SEEDS_PER_TURN)]
    if processes == 1:
        for turn in turns:
            yield from _turn(turn, mutation)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for results in pool.map(_turn, turns, repeat(mutation)):
            yield from results


def _turn(seeds: list[int], mutation: str | None) -> list[Result]:
    with planted(mutation):
        results = [run_seed(seed) for seed in seeds]
    gc.collect()  # not while a seed runs
    return results
