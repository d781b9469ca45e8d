"""What is measured for one peer on one file, what all peers share, and what a peer must provide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.engine_study.workloads import Workload
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.command import MAX_NUM_SEQS, Device, effective_arguments

OURS, BY_HAND, RUN_BATCH, RUN_BATCH_TUNED, BENCH = "ours", "by_hand", "run_batch", "run_batch_tuned", "bench_throughput"


@dataclass(frozen=True)
class Lap:
    """`seconds` runs from the first request sent, with the model loaded, to the last result in its file or log."""

    peer: str
    workload: str
    requests: int
    seconds: float
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Setup:
    """What all peers share. `at_home` is the model's definition in models.toml; `definition` names its folder."""

    at_home: ModelDefinition
    definition: ModelDefinition
    device: Device
    engine_python: Path
    models_file: Path
    folder: Path

    @property
    def runs_at_once(self) -> int:
        return int(effective_arguments(self.definition, self.device)[MAX_NUM_SEQS])


class Peer(Protocol):
    """A peer may keep its engine from lap to lap: the files of every round are new to it."""

    @property
    def name(self) -> str: ...

    def lap(self, work: Workload) -> Lap: ...
