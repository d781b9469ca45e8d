"""The whole real stack as processes, in a home of its own on free ports, with simulated models that answer fast.

There is one per session: tests share it and break it, so `stack` waits until it is whole again before each test.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from openai import OpenAI

from tests.support.postgres import free_port
from vbatch.journal.jetstream import connect
from vbatch.local import survivors
from vbatch.local.log_access import log_settings
from vbatch.local.settings import LocalSettings
from vbatch.local.stack import Stack

READY_SECONDS_MAX = 90.0
COMMAND_SECONDS_MAX = 120.0
RETRIES_MAX = 8
POLL_SECONDS = 0.05

CHAT = "simulated-chat"
OTHER_CHAT = "simulated-other"
SLOW_CHAT = "simulated-slow"
EMBEDDING = "simulated-embedding"

MODELS = """\
[[model]]
id = "simulated-chat"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64

[[model]]
id = "simulated-other"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64

[[model]]
id = "simulated-slow"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64
arguments = { latency-seconds = 0.05 }

[[model]]
id = "simulated-embedding"
engine = "simulated"
endpoints = ["/v1/embeddings"]
max_num_seqs = 64
"""

SERVICE_SECTIONS = ("gateway", "console", "scheduler", "gpu_runner", "results", "notifier")


@dataclass(frozen=True)
class RunningStack:
    """A stack with what it takes to reach it; `environment` makes the `vbatch` command use it."""

    settings: LocalSettings
    stack: Stack
    environment: Mapping[str, str]

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.gateway_port}"

    def client(self, api_key: str = "none") -> OpenAI:
        """The official client, which keeps retrying while a killed gateway is restarted."""
        return OpenAI(
            base_url=f"{self.url}/v1", api_key=api_key, max_retries=RETRIES_MAX, _strict_response_validation=True
        )

    def vbatch(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a process of its own."""
        argv = [sys.executable, "-m", "vbatch.cli", *arguments]
        environment = os.environ | dict(self.environment)
        return subprocess.run(
            argv, env=environment, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS_MAX
        )

    def pid(self, name: str) -> int:
        """Return the process that supervisord knows under this name."""
        found = {each.name: each.pid for each in self.stack.status().services}[name]
        assert found is not None, f"{name} does not run"
        return found

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.pid(name))

    def engine(self) -> psutil.Process:
        """Return the engine itself, below the runner and its guard: it listens, however it was started."""
        below = self.process("gpu-runner").children(recursive=True)
        return next(
            process for process in below if any(_is_engines(end.laddr) for end in process.net_connections("unix"))
        )

    def restarts(self) -> int:
        """Return how often programs of this stack were restarted, in total."""
        return sum(each.restarts for each in self.stack.status().services)

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.stack.status().is_ready, "the stack is ready again", READY_SECONDS_MAX)

    def limit_log(self, bytes_max: int | None = None) -> None:
        """Limit the log to what it holds plus `bytes_max`; None: what its services set."""
        asyncio.run(_limit_log(self.settings, bytes_max))

    def logs(self, lines: int = 15) -> str:
        """Return the end of every log, for the message of a failure."""
        files = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"--- {file.name}\n" + "\n".join(_last(file, lines)) for file in files)


async def _limit_log(settings: LocalSettings, bytes_max: int | None) -> None:
    wanted = log_settings(settings, "limit")
    async with connect(wanted) as journal:
        if bytes_max is None:
            return await journal.topology()
        limit = (await journal.log.fill()).bytes + bytes_max
    async with connect(replace(wanted, log_bytes_max=limit)) as journal:
        await journal.topology()


def wait_until(holds: Callable[[], bool], what: str, seconds_max: float) -> None:
    """Check repeatedly until it holds; otherwise fail the test, saying `what` was waited for."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds_max:.0f} s: {what}"
        time.sleep(POLL_SECONDS)


@contextmanager
def running_stack(models: Path | None = None, environment: Mapping[str, str] | None = None) -> Iterator[RunningStack]:
    """Run a stack; `models` is a models.toml, by default the simulated models above."""
    with stack_home(models, environment) as prepared:
        prepared.stack.up()
        yield prepared


@contextmanager
def stack_home(models: Path | None = None, environment: Mapping[str, str] | None = None) -> Iterator[RunningStack]:
    """Prepare a stack without starting it; on leaving it is stopped, and nothing of it may still run."""
    home = Path(tempfile.mkdtemp(prefix="vbatch-"))
    home.chmod(0o711)  # PostgreSQL runs as another user when the tests run as root
    with _environment(_variables(home, models) | dict(environment or {})) as variables:
        settings = LocalSettings()
        prepared = RunningStack(settings, Stack(settings), variables)
        try:
            yield prepared
        finally:
            prepared.stack.down()
            left = survivors.processes_of(home)
            shutil.rmtree(home)
    assert left == [], f"still running after down: {left}"


@pytest.fixture(scope="session")
def _session_stack() -> Iterator[RunningStack]:
    with running_stack() as running:
        yield running


@pytest.fixture
def stack(_session_stack: RunningStack) -> RunningStack:
    """The stack that all tests of the session share, whole at the start of each."""
    _session_stack.wait_until_ready()
    return _session_stack


@pytest.fixture
def client(stack: RunningStack) -> Iterator[OpenAI]:
    """The official client, strict about every answer."""
    with stack.client() as made:
        yield made


def kill(process: psutil.Process) -> None:
    """Kill it as the kernel does when memory runs out: without a chance to clean up."""
    process.send_signal(signal.SIGKILL)


def _variables(home: Path, models: Path | None) -> dict[str, str]:
    if models is None:
        models = home / "models.toml"
        models.write_text(MODELS)
    ports = {f"VBATCH_{section.upper()}_PORT": str(free_port()) for section in SERVICE_SECTIONS}
    servers = ("NATS", "NATS_MONITOR", "POSTGRES")
    ports |= {f"VBATCH_LOCAL_{server}_PORT": str(free_port()) for server in servers}
    ports |= {
        f"VBATCH_LOCAL_{section.upper()}_PORT": ports[f"VBATCH_{section.upper()}_PORT"] for section in SERVICE_SECTIONS
    }
    limits = {"VBATCH_LOCAL_READY_SECONDS_MAX": str(READY_SECONDS_MAX)}
    return {"VBATCH_HOME": str(home), "VBATCH_GATEWAY_MODELS_FILE": str(models), **ports, **limits}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """Set these variables for this process and those it starts; none of the caller's own VBATCH_ settings."""
    before = {name: value for name, value in os.environ.items() if name.startswith("VBATCH_")}
    for name in before:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield variables
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)


def _last(path: Path, lines: int) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-lines:]


def _is_engines(address: object) -> bool:
    """Whether an engine answers there; a standby has sockets of its own beside it."""
    return str(address).endswith("/engine.sock")
