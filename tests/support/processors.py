"""Processors of others: what their kernel tells, laid out in a folder as /proc and /sys would have it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.paths import ROOT

RECORDED = ROOT / "tests" / "processors"


class Chosen(msgspec.Struct, frozen=True):
    """`dtype` is empty where none is chosen."""

    dtype: str
    engine_threads: int


class Recorded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of tests/processors. `cores` are those of one node; efficiency cores come besides, one thread each."""

    name: str
    source: str
    flags: str
    cores: int
    threads_per_core: int
    chosen: Chosen
    efficiency_cores: int = 0
    nodes: int = 1

    @property
    def is_arm(self) -> bool:
        return "asimd" in self.flags

    @property
    def fast_threads(self) -> int:
        return self.nodes * self.cores * self.threads_per_core

    @property
    def logical_count(self) -> int:
        return self.fast_threads + self.efficiency_cores


def recorded() -> dict[str, Recorded]:
    return {path.stem: msgspec.convert(tomllib.loads(path.read_text()), Recorded) for path in RECORDED.glob("*.toml")}


def lay_out(found: Recorded, root: Path) -> None:
    """As Linux numbers them: the threads of a core side by side, efficiency cores last."""
    flags, name = ("Features", "Model") if found.is_arm else ("flags", "model name")
    cpuinfo = f"processor\t: 0\n{name}\t: {found.name}\n{flags}\t\t: {found.flags}\n\nprocessor\t: 1\n"
    write(root / "proc/cpuinfo", cpuinfo)
    for number, threads in _siblings(found):
        write(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list", threads)
    size = found.logical_count // found.nodes
    for node in range(found.nodes):
        write(root / f"sys/devices/system/node/node{node}/cpulist", f"{node * size}-{(node + 1) * size - 1}\n")
    if found.efficiency_cores:
        write(root / "sys/devices/cpu_atom/cpus", f"{found.fast_threads}-{found.logical_count - 1}\n")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _siblings(found: Recorded) -> Iterator[tuple[int, str]]:
    for number in range(found.logical_count):
        first = number - number % found.threads_per_core
        is_single = number >= found.fast_threads or found.threads_per_core == 1
        yield number, f"{number}\n" if is_single else f"{first}-{first + found.threads_per_core - 1}\n"
