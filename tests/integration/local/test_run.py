"""Each program of the local stack, started by itself as a service manager does: together they serve, each ends well."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import psutil
import pytest

from tests.support.stack import READY_SECONDS_MAX, RunningStack, stack_home, wait_until
from vbatch.chassis.settings import STACK_VARIABLE
from vbatch.local import programs
from vbatch.local.probes import NotYet
from vbatch.local.programs import Program

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

JOB_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 40.0


@pytest.fixture(scope="module")
def home() -> Iterator[RunningStack]:
    with stack_home() as prepared:
        yield prepared


def job(*arguments: str) -> None:
    argv = [sys.executable, "-m", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=JOB_SECONDS_MAX)
    assert done.returncode == 0, done.stderr


@contextmanager
def started(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """It runs while the block does; then it is told to end as its unit says, and does."""
    log = subprocess.DEVNULL
    process = subprocess.Popen([sys.executable, "-m", "vbatch.local.run", program.name], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.Signals[f"SIG{program.stop_signal}"])
        code = process.wait(timeout=STOP_SECONDS_MAX)
    assert code == 0


def wait_until_ready(table: list[Program]) -> None:
    for program in table:
        wait_until(partial(is_ready, program), f"{program.name} is ready", READY_SECONDS_MAX)


def is_ready(program: Program) -> bool:
    try:
        program.probe()
    except NotYet:
        return False
    return True


def test_the_programs_serve_without_a_supervisor_of_ours(home: RunningStack):
    job("vbatch.local.run", "prepare")
    nats, postgres, *services = programs.programs(home.settings)
    with ExitStack() as running:
        for server in (nats, postgres):
            running.enter_context(started(server))
        wait_until_ready([nats, postgres])
        job("vbatch.local.streams")
        processes = [running.enter_context(started(service)) for service in services]
        wait_until_ready(services)
        with home.client() as client:
            assert "simulated-chat" in {model.id for model in client.models.list()}
        marked = [STACK_VARIABLE in psutil.Process(process.pid).environ() for process in processes]
        assert not any(marked), "`vbatch down` would end them"
