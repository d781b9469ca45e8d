"""Looks at this machine. It takes a few seconds at most, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from vbatch.cli.doctor.facts import Disk, Engine, Fleet, Machine, Memory, Port
from vbatch.cli.fleets import models_elsewhere, servers_of
from vbatch.gpu_runner.adapters.device import machine_free_bytes
from vbatch.gpu_runner.adapters.gpus import read_gpus
from vbatch.gpu_runner.adapters.machine import ROOT, memory_limit_bytes, read_processor
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.local import survivors
from vbatch.local.programs import SERVICES
from vbatch.local.settings import LocalSettings

APPEND_BYTES = 4_096
APPENDS_MAX = 20
APPEND_SECONDS_MAX = 1.0
COPY_BYTES_MAX = 256 << 20
COPY_SHARE_OF_FREE = 16
COPY_THREADS_MAX = 16
TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that is not synchronised."""
TIMEX_BYTES = 256
"""More than its struct needs, on every architecture."""
NVIDIA_VENDOR, DISPLAY_CLASS = "0x10de", "0x03"


def read_machine(local: LocalSettings, runner: RunnerSettings, root: Path = ROOT) -> Machine:
    """Return all facts. `root` is another place for /proc and /sys."""
    own = {process.pid for process in survivors.processes_of(local.home)}
    processor = read_processor(runner.cpu_features, root)
    return Machine(
        processor=processor,
        memory=_memory(root, threads=min(len(processor.logical_cores), COPY_THREADS_MAX)),
        gpus=read_gpus(),
        has_nvidia_hardware=_has_nvidia_hardware(root),
        disk=read_disk(local.home),
        ports=tuple(_ports(local, own)),
        engine=_engine(runner.engine_python),
        has_true_clock=_has_true_clock(),
        is_running=bool(own),
        fleets=tuple(asyncio.run(_fleets())),
    )


async def _fleets() -> list[Fleet]:
    """Return the fleets that models.toml names."""
    return [Fleet(model.id, tuple(await servers_of(model))) for model in models_elsewhere()]


def read_disk(folder: Path) -> Disk:
    """Measure with some small appends in the folder where the state is, or will be."""
    there = next(item for item in (folder, *folder.parents) if item.is_dir())
    kind, free = _kind_of(there), psutil.disk_usage(str(there)).free
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            seconds = list(_appends(file.fileno()))
    except OSError as error:
        return Disk(there, kind, free, trouble=error.strerror or str(error))
    return Disk(there, kind, free, statistics.median(seconds))


def _appends(descriptor: int) -> Iterator[float]:
    """Yield the seconds of each append, until there are enough of them or they took long enough."""
    ends = time.monotonic() + APPEND_SECONDS_MAX
    for _ in range(APPENDS_MAX):
        began = time.perf_counter()
        os.write(descriptor, bytes(APPEND_BYTES))
        os.fsync(descriptor)
        yield time.perf_counter() - began
        if time.monotonic() > ends:
            return


def _kind_of(folder: Path) -> str:
    """Return the type of the folder's file system: that of the longest mount point above it."""
    mounts = {partition.mountpoint: partition.fstype for partition in psutil.disk_partitions(all=True)}
    above = [str(item) for item in (folder.resolve(), *folder.resolve().parents) if str(item) in mounts]
    return mounts[above[0]] if above else "unknown"


def _memory(root: Path, threads: int) -> Memory:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    free = machine_free_bytes()
    return Memory(total, free, memory_limit_bytes(root), _memory_speed(free, threads))


def _memory_speed(free_bytes: int, threads: int) -> float | None:
    """Return the bytes a second that all cores together copy, reads and writes both counted; None if there is too
    little memory."""
    piece = min(COPY_BYTES_MAX, free_bytes // COPY_SHARE_OF_FREE) // max(1, threads)
    if piece < APPEND_BYTES:
        return None
    pairs = [(ctypes.create_string_buffer(piece), ctypes.create_string_buffer(piece)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_copy, pairs))  # the first touch of its pages is the kernel's time
        began = time.perf_counter()
        list(pool.map(_copy, pairs))
        return 2 * piece * threads / (time.perf_counter() - began)


def _copy(pair: tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]) -> None:
    ctypes.memmove(pair[0], pair[1], len(pair[0]))


def _has_nvidia_hardware(root: Path) -> bool:
    """Return whether the bus has a display or compute controller from NVIDIA."""
    for vendor in (root / "sys/bus/pci/devices").glob("*/vendor"):
        kind = vendor.with_name("class")
        if _text(vendor) == NVIDIA_VENDOR and _text(kind).startswith(DISPLAY_CLASS):
            return True
    return False


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _ports(local: LocalSettings, own: set[int]) -> Iterator[Port]:
    for program, variable, number in _used_ports(local):
        yield Port(program, variable, number, "" if _is_free(number) else _stranger(number, own))


def _used_ports(local: LocalSettings) -> Iterator[tuple[str, str, int]]:
    """Yield the ports of the programs that this stack starts itself."""
    if not local.has_own_nats:
        yield "nats", "VBATCH_NATS_PORT", local.nats_port
        yield "nats", "VBATCH_NATS_MONITOR_PORT", local.nats_monitor_port
    if not local.has_own_postgres:
        yield "postgres", "VBATCH_POSTGRES_PORT", local.postgres_port
    for service in SERVICES:
        yield service.name, service.port_variable, getattr(local, service.port)


def _is_free(number: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
        return True


def _stranger(number: int, own: set[int]) -> str:
    """Return the program that listens on the port; empty if it is the stack itself."""
    try:
        listening = [
            connection for connection in psutil.net_connections("tcp") if connection.status == psutil.CONN_LISTEN
        ]
        pid = next((item.pid for item in listening if item.laddr and item.laddr.port == number), None)
        if pid is None:
            return "another user's program" if not own else ""
        return "" if pid in own else f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return "another program"


def _engine(python: Path) -> Engine:
    """Return the engine. The file beside it was written at installation (deploy/engine/install)."""
    if not python.exists():
        return Engine(python)
    return Engine(python, _text(python.parent.parent / "device") or "unknown device")


def _has_true_clock() -> bool | None:
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (AttributeError, OSError):
        return None
    return state != TIME_ERROR if state >= 0 else None
