"""What was found on this machine. This module reads nothing and judges nothing. None means that a fact could not be
found out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vbatch.cli.fleets import Server
from vbatch.gpu_runner.adapters.gpus import Gpus
from vbatch.gpu_runner.core.processor import Processor


@dataclass(frozen=True, slots=True)
class Memory:
    """`limit_bytes` is what a container may use of it."""

    total_bytes: int
    free_bytes: int
    limit_bytes: int | None = None
    bytes_per_second: float | None = None

    @property
    def usable_bytes(self) -> int:
        return min(self.total_bytes, self.limit_bytes or self.total_bytes)


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the state folder. `sync_seconds` is the median of small appends that were made durable."""

    folder: Path
    kind: str
    free_bytes: int
    sync_seconds: float | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Port:
    """One port of the stack. `taken_by` names the foreign program that has it; empty if it is free or the stack's
    own."""

    program: str
    variable: str
    number: int
    taken_by: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """vLLM's own environment. `device` is what it was installed for, empty if it is not installed."""

    python: Path
    device: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A model of models.toml that runs elsewhere, and its servers."""

    model: str
    servers: tuple[Server, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """All facts. `has_nvidia_hardware`: the bus shows an NVIDIA GPU, whether or not its driver answers."""

    processor: Processor
    memory: Memory
    gpus: Gpus
    has_nvidia_hardware: bool
    disk: Disk
    ports: tuple[Port, ...]
    engine: Engine
    has_true_clock: bool | None
    is_running: bool = False
    fleets: tuple[Fleet, ...] = ()
