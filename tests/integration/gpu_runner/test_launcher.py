"""Engines as they are started, connected to, watched and stopped, without a runner around them."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.gpu_runner.conftest import CHAT, LIMITS, RUNNER, simulated
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gpu_runner.adapters.engine.pool.launcher import EngineLauncher
from vbatch.gpu_runner.adapters.engine.process.child import Child
from vbatch.gpu_runner.adapters.engine.process.runner_paths import SOCKET_PATH_BYTES_MAX, RunnerPaths
from vbatch.gpu_runner.core.command import Device, DeviceKind, EngineCommand
from vbatch.gpu_runner.ports import ConnectionLost, EngineFailed

CPU = Device(DeviceKind.CPU, "cpu", 1 << 34)
QUESTION = b'{"model":"small","messages":[{"role":"user","content":"hello"}]}'


def paths(home: Path) -> RunnerPaths:
    return RunnerPaths(home, RUNNER, Path(sys.executable), home / "prepare.py")


def launcher(home: Path) -> EngineLauncher:
    return EngineLauncher(paths(home), CPU, LIMITS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_an_engine_answers_and_tells_of_its_progress(home: Path):
    engine = await launcher(home).launch(simulated("small"))
    before = await engine.progress()
    answer = await engine.ask(CHAT, QUESTION)
    assert answer.status_code == 200 and b"[simulated] hello" in answer.body
    assert await engine.progress() != before
    await engine.stop()


async def test_a_simulated_engine_notes_what_it_begins_and_answers_and_how_many_are_inside(home: Path):
    notes = home / "work.log"
    slow_and_narrow = simulated("small", max_num_seqs=1, latency_seconds=0.2, work_log=str(notes))
    engine = await launcher(home).launch(slow_and_narrow)
    await asyncio.gather(engine.ask(CHAT, QUESTION), engine.ask(CHAT, QUESTION))
    await engine.stop()
    found = [line.split() for line in notes.read_text().splitlines()]
    assert [(what, inside) for _at, what, _digest, inside in found] == [
        ("started", "1"),
        ("answered", "2"),
        ("started", "1"),
        ("answered", "1"),
    ]


async def test_a_home_too_deep_for_a_socket_gets_one_elsewhere_as_long_as_the_engine_runs(home: Path):
    deep = home / ("deep" * 10) / ("deeper" * 10)
    deep.mkdir(parents=True)
    socket = paths(deep).socket(0)
    assert len(bytes(socket)) < SOCKET_PATH_BYTES_MAX
    engine = await launcher(deep).launch(simulated("small"))
    assert await engine.is_healthy() and socket.exists()
    await engine.stop()
    assert not socket.parent.parent.exists()


async def test_a_server_that_runs_elsewhere_is_connected_to_and_left_running(home: Path):
    port = free_port()
    arguments = (sys.executable, "-m", "vbatch.gpu_runner.simulated", "--port", str(port), "--model", "small")
    remote = await Child.start(EngineCommand(arguments), paths(home).process_paths("remote", 1.0))
    definition = ModelDefinition(
        id=ModelId("small"), engine=EngineKind.HTTP, base_url=f"http://127.0.0.1:{port}/v1", max_num_seqs=8
    )
    engine = await launcher(home).launch(definition)
    assert engine.concurrency == 40
    assert (await engine.ask(CHAT, QUESTION)).status_code == 200
    await engine.stop()
    assert remote.is_running
    await remote.stop()


async def test_a_server_that_is_not_there_is_a_failed_model(home: Path):
    definition = ModelDefinition(
        id=ModelId("small"), engine=EngineKind.HTTP, base_url=f"http://127.0.0.1:{free_port()}"
    )
    impatient = EngineLauncher(paths(home), CPU, replace(LIMITS, startup_seconds_max=0.2))
    with pytest.raises(EngineFailed, match="no healthy answer"):
        await impatient.launch(definition)


async def test_an_engine_that_crashes_loses_the_connection_and_tells_how_it_ended(home: Path):
    engine = await launcher(home).launch(simulated("small", crash_after=1))
    with pytest.raises(ConnectionLost):
        await engine.ask(CHAT, QUESTION)
    assert "ended with code 137" in await engine.gone()
    assert not await engine.is_healthy()
    await engine.stop()


async def test_a_model_whose_package_cannot_be_prepared_fails_with_the_scripts_words(home: Path):
    (home / "prepare.py").write_text("import sys; sys.exit('no package ' + sys.argv[1])")
    with pytest.raises(EngineFailed, match="no package llm-tiny"):
        await launcher(home).launch(ModelDefinition(id=ModelId("tiny"), package="llm-tiny"))


async def test_a_prepared_model_is_served_from_its_folder(home: Path):
    (home / "prepare.py").write_text("import os, sys; os.makedirs(sys.argv[2])")
    with pytest.raises(EngineFailed, match="No module named"):
        await launcher(home).launch(ModelDefinition(id=ModelId("tiny"), package="llm-tiny"))
    assert (home / "models" / "llm-tiny").is_dir()


async def test_a_program_that_does_not_exist_is_named(home: Path):
    child = await Child.start(EngineCommand(("/no/such/program",)), paths(home).process_paths("engine", 1.0))
    assert await child.wait() == 127
    assert "cannot start /no/such/program" in child.last_words()
    await child.stop()


async def test_the_log_of_the_start_before_is_kept(home: Path):
    process_paths = paths(home).process_paths("engine", 1.0)
    for word in ("first", "second"):
        child = await Child.start(EngineCommand(("echo", word)), process_paths)
        await child.wait()
        await child.stop()
    assert process_paths.log.read_text() == "second\n"
    assert process_paths.log.with_suffix(".log.1").read_text() == "first\n"
