"""A process that has imported the engine's code waits for the next model: what it saves, and what it must not cost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.integration.gpu_runner.conftest import CHAT, LIMITS, RUNNER, simulated
from tests.support.paths import paths_below
from tests.support.processes import children, command_line
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.adapters.device import detect
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher, RunningEngine
from vbatch.gpu_runner.adapters.engine.pool.standby import NICENESS_ALONE, NICENESS_BESIDE_WORK
from vbatch.gpu_runner.adapters.engine.process.runner_paths import RunnerPaths
from vbatch.gpu_runner.core.command import Device, DeviceKind
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.ports import EngineFailed

CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)
READY = replace(LIMITS, has_standby=True, standby_spare_bytes=0)


def paths(home: Path) -> RunnerPaths:
    return RunnerPaths(home, RUNNER, Path(sys.executable), home / "prepare.py")


@asynccontextmanager
async def launching(home: Path, limits: Limits = READY, device: Device = CPU) -> AsyncIterator[EngineLauncher]:
    launcher = EngineLauncher(paths(home), device, limits)
    try:
        yield launcher
    finally:
        await launcher.close()


@asynccontextmanager
async def launched(launcher: EngineLauncher, definition: ModelDefinition) -> AsyncIterator[RunningEngine]:
    """The model's engine, with another model expected behind it."""
    engine = await launcher.launch(definition)
    try:
        await launcher.expect(simulated("behind"))
        yield engine
    finally:
        await engine.stop()


def question(model: str) -> bytes:
    return b'{"model":"%s","messages":[{"role":"user","content":"hello"}]}' % model.encode()


async def niceness_told(home: Path) -> int:
    """How far the standby of this home was told to give way, as soon as its program runs."""
    async with asyncio.timeout(10):
        while True:
            commands = [command_line(process) for process in ours(home)]
            plans = [words[-1] for words in commands if any("vbatch_standby.main" in word for word in words)]
            if plans:
                return int(json.loads(plans[-1])["niceness"])
            await asyncio.sleep(0.02)


def ours(home: Path) -> list[psutil.Process]:
    """Every process below this one that has to do with this home."""
    guards = [each for each in children(psutil.Process()) if str(home) in " ".join(command_line(each))]
    return [*guards, *(process for guard in guards for process in children(guard))]


async def standby_processes(home: Path, slot: int) -> list[psutil.Process]:
    record = home / "run" / RUNNER / f"engine-{slot}.pids"
    async with asyncio.timeout(10):
        while not record.exists() or len(record.read_text().splitlines()) < 5:  # noqa: ASYNC110 - written by another
            await asyncio.sleep(0.02)
    return [psutil.Process(int(line.split()[0])) for line in record.read_text().splitlines()[1:]]


def guards_on_record(home: Path) -> list[int]:
    records = (home / "run" / RUNNER).glob("*.pids")
    return [int(record.read_text().splitlines()[1].split()[0]) for record in records]


async def test_the_next_model_is_served_by_the_process_that_waited(home: Path):
    async with launching(home) as launcher:
        async with launched(launcher, simulated("first")):
            waiting = {process.pid for process in await standby_processes(home, slot=1)}
        async with launched(launcher, simulated("second")) as engine:
            assert (await engine.ask(CHAT, question("second"))).status_code == 200
            assert engine.child is not None and engine.child.pid in waiting
    assert ours(home) == []


async def test_a_standby_that_was_killed_is_no_trouble(home: Path):
    async with launching(home) as launcher:
        async with launched(launcher, simulated("first")):
            for process in await standby_processes(home, slot=1):
                process.send_signal(signal.SIGKILL)
        async with launched(launcher, simulated("second")) as engine:
            assert (await engine.ask(CHAT, question("second"))).status_code == 200


async def test_the_sockets_of_a_killed_standby_go_with_it(home: Path):
    slot = paths(home).socket(1).parent
    async with launching(home) as launcher, launched(launcher, simulated("first")):
        waiting = await standby_processes(home, slot=1)
        assert any(path.is_socket() for path in paths_below(slot))
        for process in waiting:
            process.send_signal(signal.SIGKILL)
    assert not slot.exists()


async def test_a_standby_whose_fork_server_was_killed_is_no_trouble(home: Path):
    async with launching(home) as launcher:
        async with launched(launcher, simulated("first")):
            _, _, _, imported = await standby_processes(home, slot=1)
            imported.send_signal(signal.SIGKILL)
        async with launched(launcher, simulated("second")) as engine:
            assert (await engine.ask(CHAT, question("second"))).status_code == 200


async def test_where_a_standby_fails_and_a_plain_start_does_not_there_is_no_other_standby(home: Path):
    async with launching(home) as launcher:
        async with launched(launcher, simulated("first")):
            await standby_processes(home, slot=1)
        async with launched(launcher, simulated("second", fail_when_forked=True)) as engine:
            assert (await engine.ask(CHAT, question("second"))).status_code == 200
            assert engine.child is not None
            assert guards_on_record(home) == [engine.child.pid]


async def test_a_model_that_cannot_start_is_told_in_its_own_words_also_from_a_standby(home: Path):
    async with launching(home) as launcher:
        async with launched(launcher, simulated("first")):
            await standby_processes(home, slot=1)
        with pytest.raises(EngineFailed, match="failing to start, as asked for"):
            await launcher.launch(simulated("second", fail_to_start=True))


async def test_another_environment_is_not_served_by_a_standby_made_for_this_one(home: Path):
    async with launching(home) as launcher:
        async with launched(launcher, simulated("first")):
            waiting = {process.pid for process in await standby_processes(home, slot=1)}
        other = msgspec.structs.replace(simulated("second"), environment={"COLOUR": "blue"})
        async with launched(launcher, other) as engine:
            assert engine.child is not None and engine.child.pid not in waiting


async def test_on_a_cpu_there_is_no_standby_while_nobody_expects_another_model(home: Path):
    async with launching(home) as launcher:
        engine = await launcher.launch(simulated("first"))
        try:
            assert engine.child is not None and guards_on_record(home) == [engine.child.pid]
        finally:
            await engine.stop()


async def test_once_models_have_changed_a_standby_begins_with_the_engine(home: Path):
    async with launching(home) as launcher:
        await (await launcher.launch(simulated("first"))).stop()
        engine = await launcher.launch(simulated("second"))
        try:
            assert await standby_processes(home, slot=1)
        finally:
            await engine.stop()


@pytest.fixture
def driver_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nvidia-smi prints on a machine that has a GPU."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\ncase "$*" in *name*) echo "NVIDIA GeForce RTX 4080, 16376";; *) echo 15900;; esac\n')
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.mark.usefixtures("driver_tool")
async def test_beside_a_gpu_a_standby_begins_with_the_engine(home: Path):
    device = await detect()
    async with launching(home, device=device) as launcher:
        engine = await launcher.launch(simulated("first"))
        try:
            assert (device.kind, device.memory_bytes) == (DeviceKind.NVIDIA, 16_376 << 20)
            assert await standby_processes(home, slot=1)
        finally:
            await engine.stop()


async def test_a_standby_gives_way_most_where_a_model_works(home: Path):
    async with launching(home) as launcher:
        await launcher.expect(simulated("first"))
        assert await niceness_told(home) == NICENESS_ALONE
    async with launching(home) as launcher, launched(launcher, simulated("first")):
        assert await niceness_told(home) == NICENESS_BESIDE_WORK


async def test_a_model_expected_twice_has_one_standby(home: Path):
    async with launching(home) as launcher, launched(launcher, simulated("first")):
        waiting = {process.pid for process in await standby_processes(home, slot=1)}
        await launcher.expect(simulated("behind"))
        assert {process.pid for process in await standby_processes(home, slot=1)} == waiting
        assert len(guards_on_record(home)) == 2


async def test_a_model_of_another_environment_has_a_standby_of_its_own(home: Path):
    other = msgspec.structs.replace(simulated("other"), environment={"COLOUR": "blue"})
    async with launching(home) as launcher, launched(launcher, simulated("first")):
        waiting = {process.pid for process in await standby_processes(home, slot=1)}
        await launcher.expect(other)
        async with launched(launcher, other) as engine:
            assert engine.child is not None and engine.child.pid not in waiting
    assert ours(home) == []


async def test_there_is_no_standby_where_memory_is_short(home: Path):
    async with launching(home, replace(READY, standby_spare_bytes=1 << 60)) as launcher:
        async with launched(launcher, simulated("first")) as engine:
            assert engine.child is not None
            assert guards_on_record(home) == [engine.child.pid]


async def test_descriptors_are_given_back(home: Path):
    async with launching(home) as launcher:
        async with launched(launcher, simulated("first")):
            before = len(os.listdir("/proc/self/fd"))
        for number in range(3):
            async with launched(launcher, simulated(f"next-{number}")):
                assert len(os.listdir("/proc/self/fd")) == before
