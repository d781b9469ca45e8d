"""What `vbatch doctor` makes of machines of many kinds, and how its page reads."""

from __future__ import annotations

import io
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.support.nvml import GIB, RTX_4080, Card, DriverOf
from tests.support.processors import lay_out, recorded, write
from vbatch.chassis.settings import load
from vbatch.cli.commands.doctor import first_look
from vbatch.cli.doctor.facts import Disk, Engine, Machine, Memory, Port
from vbatch.cli.doctor.findings import Finding, Level, findings
from vbatch.cli.doctor.page import show, show_fixes, verdict
from vbatch.cli.doctor.reading import read_disk, read_machine
from vbatch.cli.main import app
from vbatch.cli.options import local_settings
from vbatch.gpu_runner.adapters.gpus import Gpus, read_gpus
from vbatch.gpu_runner.adapters.machine import read_processor
from vbatch.gpu_runner.settings import RunnerSettings

PORTS = (Port("gateway", "VBATCH_GATEWAY_PORT", 4080), Port("nats", "VBATCH_NATS_PORT", 4322))
NO_DRIVER = Gpus(trouble="NVML Shared Library Not Found")


@pytest.fixture
def desktop(tmp_path: Path) -> Machine:
    """A well-kept desktop without a GPU: a Ryzen with AVX2, 32 GB, an SSD."""
    found = recorded()["ryzen_9_5950x"]
    lay_out(found, tmp_path)
    return Machine(
        processor=read_processor(root=tmp_path, usable=range(found.logical_count)),
        memory=Memory(32 * GIB, 30 * GIB, bytes_per_second=40e9),
        gpus=NO_DRIVER,
        has_nvidia_hardware=False,
        disk=Disk(Path("/home/me/var"), "ext4", 200 * GIB, 0.001),
        ports=PORTS,
        engine=Engine(Path(".engine/bin/python"), "cpu"),
        has_true_clock=True,
    )


def with_gpu(machine: Machine, *cards: Card, cuda: int = 13_000) -> Machine:
    engine = Engine(machine.engine.python, "gpu")
    return replace(machine, gpus=read_gpus(DriverOf(cards, cuda=cuda)), has_nvidia_hardware=True, engine=engine)


def said(machine: Machine, topic: str, level: Level | None = None) -> str:
    return "\n".join(
        f"{finding.says} → {finding.fix}"
        for finding in findings(machine)
        if finding.topic == topic and level in (None, finding.level)
    )


def page(found: list[Finding], *, is_terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=100)
    show(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_well_kept_machine_has_nothing_to_change(desktop: Machine):
    assert verdict(findings(desktop)) == "Nothing to change."


def test_a_processor_that_emulates_bfloat16_is_told_in_plain_words(desktop: Machine):
    text = said(desktop, "processor")
    assert "AMD Ryzen 9 5950X 16-Core Processor: 16 cores, 32 threads. It emulates bfloat16" in text
    assert "The runner takes float32, at twice the memory, by itself." in text


def test_a_processor_that_vllm_cannot_use_says_where_else_to_go(desktop: Machine):
    old = replace(desktop, processor=read_processor("avx512f", usable=(0,)))
    assert "no AVX2" in said(old, "processor", Level.BAD) and "models.toml" in said(old, "processor", Level.BAD)
    assert said(with_gpu(old, RTX_4080), "processor", Level.BAD) == ""


def test_what_fits_follows_from_memory_and_dtype(desktop: Machine):
    assert said(desktop, "models").startswith("Up to 6 billion parameters fit in float32.")
    assert said(with_gpu(desktop, RTX_4080), "models").startswith("Up to 7 billion parameters fit the GPU in 16 bits")
    assert "13 billion parameters in FP8" in said(with_gpu(desktop, RTX_4080), "models")


def test_a_gpu_is_told_with_its_driver(desktop: Machine):
    text = said(with_gpu(desktop, RTX_4080), "gpu")
    assert "NVIDIA GeForce RTX 4080 with 16 GiB, driver 580.82, CUDA 13.0. It computes FP8 and bfloat16" in text


def test_a_gpu_held_back_or_taken_or_divided_says_how_to_change_that(desktop: Machine):
    card = replace(RTX_4080, power_watts=(200, 320), free_bytes=9 * GIB, processes=1, has_mig=True)
    text = said(with_gpu(desktop, card), "gpu", Level.NOTE)
    assert "200 W of 320 W" in text and "nvidia-smi -i 0 -pl 320" in text
    assert "7 GiB of its memory are taken already, by one process" in text
    assert "MIG" in text


def test_a_driver_that_is_too_old_is_to_be_replaced(desktop: Machine):
    assert "580 or newer" in said(with_gpu(desktop, RTX_4080, cuda=12_040), "gpu", Level.BAD)


def test_a_gpu_without_a_driver_is_not_taken_for_no_gpu(desktop: Machine):
    text = said(replace(desktop, has_nvidia_hardware=True), "gpu", Level.BAD)
    assert "NVML Shared Library Not Found" in text and "--gpus all" in text


def test_a_gpu_beside_an_engine_for_the_processor_is_idle(desktop: Machine):
    idle = replace(with_gpu(desktop, RTX_4080), engine=desktop.engine)
    assert "ENGINE_DEVICE=gpu" in said(idle, "gpu", Level.BAD)


def test_a_second_gpu_wants_a_runner_of_its_own(desktop: Machine):
    assert "VBATCH_GPU_RUNNER_GPU_INDEX" in said(with_gpu(desktop, RTX_4080, RTX_4080), "gpu", Level.NOTE)


def test_half_a_core_is_too_little(desktop: Machine, tmp_path: Path):
    write(tmp_path / "proc/self/cgroup", "0::/\n")
    write(tmp_path / "sys/fs/cgroup/cpu.max", "50000 100000\n")
    boxed = replace(desktop, processor=read_processor(root=tmp_path, usable=range(32)))
    assert "0.5 of 32 processors" in said(boxed, "processor", Level.BAD)
    assert "--cpus 2" in said(boxed, "processor", Level.BAD)


def test_a_small_container_is_measured_by_its_own_limit(desktop: Machine):
    boxed = replace(desktop, memory=Memory(64 * GIB, 60 * GIB, limit_bytes=4 * GIB))
    assert "4 GiB of memory that this container may use" in said(boxed, "memory", Level.BAD)


@pytest.mark.parametrize(("seconds", "level"), [(0.001, Level.GOOD), (0.012, Level.GOOD), (0.05, Level.BAD)])
def test_a_disk_is_judged_by_how_long_an_append_takes(desktop: Machine, seconds: float, level: Level):
    slow = replace(desktop, disk=replace(desktop.disk, sync_seconds=seconds))
    assert f"durable after {seconds * 1e3:.1f} ms" in said(slow, "disk", level)


def test_a_slow_disk_has_a_fix(desktop: Machine):
    slow = replace(desktop, disk=replace(desktop.disk, sync_seconds=0.05))
    assert "SSD" in said(slow, "disk", Level.BAD)


def test_a_network_disk_and_a_full_one_are_named(desktop: Machine):
    bad = replace(desktop, disk=Disk(Path("/net/var"), "nfs4", 2 * GIB, 0.004))
    assert "nfs4" in said(bad, "disk", Level.BAD) and "2.1 GB are little" in said(bad, "disk", Level.NOTE)


def test_a_folder_that_cannot_be_written_says_why(desktop: Machine):
    closed = replace(desktop, disk=Disk(Path("/srv"), "ext4", GIB, trouble="Permission denied"))
    assert "/srv cannot be written: Permission denied" in said(closed, "disk", Level.BAD)


def test_a_taken_port_names_who_has_it_and_the_variable(desktop: Machine):
    taken = replace(desktop, ports=(replace(PORTS[0], taken_by="nginx (process 812)"), PORTS[1]))
    text = said(taken, "ports", Level.BAD)
    assert "Port 4080 of gateway is taken by nginx (process 812)" in text and "VBATCH_GATEWAY_PORT" in text


def test_ports_of_the_running_server_are_its_own(desktop: Machine):
    assert "The server runs here and has them" in said(replace(desktop, is_running=True), "ports", Level.GOOD)


def test_an_engine_that_is_not_installed_says_how_to_install_it(desktop: Machine):
    assert "./taskw setup:engine" in said(replace(desktop, engine=Engine(Path("x"))), "engine", Level.NOTE)


def test_a_page_in_a_pipe_is_plain_and_its_lines_end_with_their_words(desktop: Machine):
    text = page(findings(replace(desktop, has_true_clock=False)))
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.rstrip().endswith("It works here; 1 thing could be better.")


def test_a_page_on_a_terminal_is_coloured(desktop: Machine):
    assert "\x1b[" in page(findings(desktop), is_terminal=True)


def test_the_first_look_shows_only_what_there_is_to_change(desktop: Machine):
    console = Console(file=io.StringIO(), width=100)
    show_fixes(findings(desktop), console)
    show_fixes(findings(replace(desktop, has_true_clock=False)), console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().count("→") == 1


def test_this_machine_is_read_with_nothing_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_HOME", str(tmp_path / "not" / "yet"))
    machine = read_machine(local_settings(), load(RunnerSettings))
    assert machine.processor.logical_cores and machine.memory.usable_bytes > 0
    assert machine.disk.sync_seconds is not None and machine.disk.folder == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_stranger_on_a_port_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("VBATCH_HOME", str(tmp_path))
        monkeypatch.setenv("VBATCH_GATEWAY_PORT", str(server.getsockname()[1]))
        ports = read_machine(local_settings(), load(RunnerSettings)).ports
    taken_by = {port.variable: port.taken_by for port in ports}
    assert f"(process {os.getpid()})" in taken_by["VBATCH_GATEWAY_PORT"]


def test_a_folder_of_another_is_trouble_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(_descriptor: int, _content: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.write", refuse)
    assert read_disk(tmp_path).trouble == "Permission denied"


def test_json_holds_the_verdict_and_every_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["doctor", "--json"])
    document = json.loads(done.stdout)
    assert {"topic", "level", "says", "fix"} == set(document["findings"][0])
    is_bad = any(finding["level"] == "bad" for finding in document["findings"])
    assert done.exit_code == int(is_bad) and document["verdict"]


def test_a_state_folder_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VBATCH_HOME", str(tmp_path))
    first_look(local_settings())
    before = (tmp_path / "doctor.json").stat().st_mtime_ns
    first_look(local_settings())
    assert (tmp_path / "doctor.json").stat().st_mtime_ns == before
