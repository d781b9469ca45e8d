"""What the kernel reports about this machine's processor: its features, its cores, and a cgroup's limits.

`root` is another place for /proc and /sys. A missing file counts as unknown: no value is made up for it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from vbatch.gpu_runner.core.processor import LogicalCore, Processor, features_in, named_features

ROOT = Path("/")
CPUINFO_BYTES_MAX = 16 << 20
CPUINFO_FLAGS = ("flags", "Features")
"""The names of the line on x86 and Arm (proc_cpuinfo(5))."""
CPUINFO_NAMES = ("model name", "Model")
NO_LIMIT = "max"
CGROUP_V1_NO_LIMIT_BYTES = 1 << 60
"""A limit this high means that there is none (the kernel's PAGE_COUNTER_MAX, rounded to pages)."""


def read_processor(features: str = "", root: Path = ROOT, usable: Collection[int] | None = None) -> Processor:
    """Read the processor. `features`, if given, replace those that the kernel reports; `usable` are the cores that this
    process may use. Raises UnknownFeature."""
    said = _cpuinfo(root)
    found = named_features(features) if features else features_in(_first(said, CPUINFO_FLAGS).split())
    numbers = sorted(os.sched_getaffinity(0) if usable is None else usable)
    return Processor(
        name=_first(said, CPUINFO_NAMES),
        features=found,
        logical_cores=tuple(_logical_cores(numbers, root)),
        quota=processor_quota(root),
    )


def processor_quota(root: Path = ROOT) -> float | None:
    """The processor time that the cgroups of this process grant, in processors: the smallest limit; None without a
    limit."""
    return min(
        filter(None, (*map(_quota_v2, _folders(root, "")), *map(_quota_v1, _folders(root, "cpu")))), default=None
    )


def memory_limit_bytes(root: Path = ROOT) -> int | None:
    """The smallest memory limit of the cgroups of this process, in bytes; None if there is no limit."""
    second = (_number(folder / "memory.max") for folder in _folders(root, ""))
    first = (_number(folder / "memory.limit_in_bytes") for folder in _folders(root, "memory"))
    limits = [item for item in (*second, *first) if item is not None and item < CGROUP_V1_NO_LIMIT_BYTES]
    return min(limits, default=None)


def memory_left_bytes(root: Path = ROOT) -> int | None:
    """The bytes that the tightest cgroup of this process still grants; None if there is no limit. Cached files that
    were not used lately count as free: the kernel gives up their memory on demand."""
    second = [_left(folder, "memory.max", "memory.current", "inactive_file") for folder in _folders(root, "")]
    first = [
        _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        for folder in _folders(root, "memory")
    ]
    return min((item for item in (*second, *first) if item is not None), default=None)


def _left(folder: Path, limit: str, used: str, cached: str) -> int | None:
    limit_bytes, used_bytes = _number(folder / limit), _number(folder / used)
    if limit_bytes is None or used_bytes is None or limit_bytes >= CGROUP_V1_NO_LIMIT_BYTES:
        return None
    lines = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines())
    return max(0, limit_bytes - used_bytes + int(lines.get(cached, 0)))


def _cpuinfo(root: Path) -> Mapping[str, str]:
    """The first processor's lines. All processors have the same features, as far as a program may rely on them."""
    with (root / "proc/cpuinfo").open(errors="replace") as file:
        text = file.read(CPUINFO_BYTES_MAX)
    lines = (line.partition(":") for line in reversed(text.splitlines()))
    return {name.strip(): value.strip() for name, _, value in lines}


def _first(said: Mapping[str, str], names: Collection[str]) -> str:
    return next((said[name] for name in names if name in said), "")


def _logical_cores(numbers: list[int], root: Path) -> Iterator[LogicalCore]:
    nodes, slow = _nodes(root), _listed(root / "sys/devices/cpu_atom/cpus")
    for number in numbers:
        threads = _listed(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        yield LogicalCore(number, core=min(threads, default=number), node=nodes.get(number, 0), is_slow=number in slow)


def _nodes(root: Path) -> dict[int, int]:
    """The NUMA node of each logical core."""
    folders = (root / "sys/devices/system/node").glob("node[0-9]*")
    return {number: int(folder.name[4:]) for folder in folders for number in _listed(folder / "cpulist")}


def _listed(path: Path) -> frozenset[int]:
    """The numbers of a list such as `0-3,8` (cpuset(7)); none if there is no such file."""
    found: set[int] = set()
    for part in filter(None, _text(path).split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The cgroup of this process and those above it (cgroups(7)): `controller` of the first version, or the second."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        mounted = root / "sys/fs/cgroup" / controller
        below = Path(path.lstrip("/"))
        yield from (mounted / folder for folder in (below, *below.parents))


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.lstrip("-").isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
