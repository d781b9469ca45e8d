"""Who holds memory of a GPU, from drivers that answer, refuse or do not tell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pynvml
import pytest

from vbatch.gpu_runner.adapters.device_processes import PROCESSES_MAX, UNKNOWN, device_processes

NO_SUCH_PID = 2**22 + 1
"""Above the largest pid of the kernel."""


@dataclass(frozen=True)
class Held:
    pid: int
    usedGpuMemory: int | None  # NVML's name


@dataclass(frozen=True)
class Driver:
    """`computing` and `drawing` are what NVML lists; None stands for a card that does not tell."""

    computing: Sequence[Held] | None = ()
    drawing: Sequence[Held] = ()

    def nvmlInit(self) -> None:
        return None

    def nvmlDeviceGetHandleByIndex(self, index: int) -> object:
        return index

    def nvmlDeviceGetComputeRunningProcesses(self, handle: object) -> Sequence[Held]:
        if self.computing is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return self.computing

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: object) -> Sequence[Held]:
        return self.drawing


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def test_an_engine_of_this_runner_is_told_from_a_stranger(child: int):
    found = device_processes(0, Driver([Held(os.getppid(), 10), Held(child, 30)]))
    assert found is not None
    assert [(process.pid, process.memory_bytes, process.is_ours) for process in found] == [
        (child, 30, True), (os.getppid(), 10, False),
    ]  # fmt: skip
    assert "python" in found[0].name


def test_a_process_that_computes_and_draws_is_listed_once():
    found = device_processes(0, Driver([Held(os.getpid(), 5)], [Held(os.getpid(), 5)]))
    assert found is not None and len(found) == 1


def test_a_process_that_cannot_be_seen_has_no_name_and_may_have_no_amount():
    found = device_processes(0, Driver(drawing=[Held(NO_SUCH_PID, None)]))
    assert found is not None
    assert (found[0].name, found[0].memory_bytes, found[0].is_ours) == (UNKNOWN, None, False)


def test_only_those_that_hold_most_are_listed():
    found = device_processes(0, Driver([Held(NO_SUCH_PID + number, number) for number in range(PROCESSES_MAX + 5)]))
    assert found is not None
    assert (len(found), found[-1].memory_bytes) == (PROCESSES_MAX, 5)


def test_a_card_that_does_not_tell_is_absent():
    assert device_processes(0, Driver(None)) is None
