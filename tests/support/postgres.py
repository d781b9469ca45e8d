"""A real PostgreSQL for tests: one server per session, a fresh database per test.

It is registered once, by `pytest_plugins` in tests/conftest.py.
"""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path

import asyncpg
import psutil
import pytest

from vbatch.local import postgres

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
PORTS = random.SystemRandom().sample(range(12_000, 32_000), 20_000)
"""In an order of this process's own, each once before any comes again."""
_next_ports = cycle(PORTS)


@dataclass(frozen=True)
class PostgresServer:
    """A running server; clients connect to `url(database)`."""

    pid: int
    port: int
    password_file: Path

    def url(self, database: str = postgres.DATABASE) -> str:
        return postgres.url(self.password_file, self.port, database)


@contextmanager
def running_postgres(folder: Path) -> Iterator[PostgresServer]:
    """Run a server of its own in `folder`, for a test that stops or breaks it; it is stopped by pid at the end."""
    data_dir, password_file, port = folder / "postgres", folder / "password", free_port()
    postgres.initialise(data_dir, password_file, durable=False)
    ran = postgres.command(data_dir, port, dies_with_parent=True)
    # No test data outlives the machine, so it need not reach the disk.
    argv = [*ran.argv, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"]
    with (folder / "postgres.log").open("wb") as log:
        child = subprocess.Popen(argv, env=os.environ | ran.env, stdout=log, stderr=log, cwd="/")
    try:
        _wait_until_ready(child, port, folder / "postgres.log")
        yield PostgresServer(child.pid, port, password_file)
    finally:
        _stop(child)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One real server for the whole session."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def _database_numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
async def postgres_url(postgres_server: PostgresServer, _database_numbers: Iterator[int]) -> AsyncIterator[str]:
    """The URL of an empty database that no other test sees; it is dropped afterwards."""
    name = f"test_{next(_database_numbers)}"
    await _on_main(postgres_server, f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY wal_log")
    yield postgres_server.url(name)
    await _on_main(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def free_port() -> int:
    """A loopback port that was free a moment ago, below those that the kernel gives to connections: one of them could
    take it before the server that it is meant for."""
    return next(port for port in _next_ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind((postgres.HOST, port))
        return True
    return False


async def _on_main(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _wait_until_ready(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while subprocess.run(postgres.ready_command(port), check=False).returncode != 0:
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


def crash(server: PostgresServer) -> None:
    """Kill it as a power cut would. Its children notice by themselves; until the last has ended they hold the shared
    memory, and a new server refuses to start."""
    children = psutil.Process(server.pid).children(recursive=True)
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while any(map(_runs, children)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes of a killed PostgreSQL are still there: {children}")
        time.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGINT)
    try:
        child.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
