"""What can be done to the processes of a running stack, drawn by seed and done by pid."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from shutil import which

import asyncpg
import psutil

from tests.support.postgres import free_port
from tests.support.stack import RunningStack
from vbatch.chassis.settings import POSTGRES_URL_FILE
from vbatch.local.postgres import HOST
from vbatch.local.programs import SERVICES
from vbatch.local.supervisor import Supervisor

RIVAL_SECONDS = 2.5
"""For a second process to start and take the lease of one that is frozen."""
FREEZE_SECONDS = (0.3, 4.0)
FULL_SECONDS = (0.5, 2.0)
GUARD_MARK = "guard.py"
BACKEND_MARK = f" {HOST}("
RIVALS = ("scheduler", "gpu-runner", "results")


class Means(StrEnum):
    KILL = "kill"
    TERM = "term"
    FREEZE = "freeze"
    RIVAL = "rival"
    CUT = "cut"
    FULL = "full"


SUPERVISED = ("gateway", "scheduler", "gpu-runner", "results", "nats", "postgres")
VICTIMS: dict[Means, tuple[str, ...]] = {
    Means.KILL: (*SUPERVISED, "engine", "guard", "backend"),
    Means.TERM: SUPERVISED,
    Means.FREEZE: (*SUPERVISED, "engine", "guard"),
    Means.RIVAL: RIVALS,
    Means.CUT: ("postgres", "nats"),
    Means.FULL: ("gateway", "results"),
}
SHARES = {Means.KILL: 50, Means.TERM: 10, Means.FREEZE: 16, Means.RIVAL: 12, Means.CUT: 6, Means.FULL: 6}
STOP_SIGNALS = {"postgres": signal.SIGINT}
"""PostgreSQL waits for its clients on SIGTERM, and ours never leave."""


@dataclass(frozen=True)
class Fault:
    means: Means
    victim: str

    def __str__(self) -> str:
        return f"{self.means} {self.victim}"


@dataclass(frozen=True)
class Done:
    """A fault that was done: when it was over, the processes that must be gone soon, the rival that must end itself."""

    fault: Fault
    at: float
    doomed: list[psutil.Process]
    restarts: bool
    rival: subprocess.Popen[bytes] | None = None


def draw(random: Random) -> Fault:
    means = random.choices(list(SHARES), list(SHARES.values()))[0]
    return Fault(means, random.choice(VICTIMS[means]))


class Saboteur:
    """Does faults to one stack."""

    def __init__(self, stack: RunningStack, random: Random) -> None:
        self._stack = stack
        self._random = random
        self._supervisor = Supervisor(stack.home)

    def pid(self, name: str) -> int | None:
        """What supervisord has under this name now."""
        info = self._supervisor.infos().get(name)
        return info.pid if info else None

    def do(self, fault: Fault) -> Done | None:
        """None when there is no such process at this moment."""
        try:
            return self._do(fault)
        except psutil.NoSuchProcess:
            return None

    def _do(self, fault: Fault) -> Done | None:
        if fault.means is Means.CUT:
            return self._cut(fault)
        process = self._process(fault.victim)
        if process is None:
            return None
        done: dict[Means, Callable[[Fault, psutil.Process], Done]] = {
            Means.KILL: self._kill,
            Means.TERM: self._kill,
            Means.FREEZE: self._freeze,
            Means.RIVAL: self._rival,
            Means.FULL: self._full,
        }
        return done[fault.means](fault, process)

    def _process(self, victim: str) -> psutil.Process | None:
        if victim in ("engine", "guard"):
            return self._below_runner(victim)
        if victim == "backend":
            return self._backend()
        pid = self.pid(victim)
        return psutil.Process(pid) if pid else None

    def _backend(self) -> psutil.Process | None:
        """A process of PostgreSQL that serves one connection; when it dies, PostgreSQL ends all others and recovers."""
        pid = self.pid("postgres")
        below = psutil.Process(pid).children() if pid else []
        serving = [it for it in below if BACKEND_MARK in " ".join(it.cmdline())]
        return self._random.choice(serving) if serving else None

    def _below_runner(self, victim: str) -> psutil.Process | None:
        pid = self.pid("gpu-runner")
        below = psutil.Process(pid).children(recursive=True) if pid else []
        guards = [it for it in below if any(GUARD_MARK in word for word in it.cmdline())]
        if victim == "guard" or not guards:
            return guards[0] if guards else None
        return next(iter(guards[0].children()), None)

    def _kill(self, fault: Fault, process: psutil.Process) -> Done:
        number = signal.SIGKILL if fault.means is Means.KILL else STOP_SIGNALS.get(fault.victim, signal.SIGTERM)
        doomed = [process, *process.children(recursive=True)]
        process.send_signal(number)
        restarts = fault.victim in SUPERVISED
        return Done(fault, time.time(), doomed if fault.means is Means.KILL else [], restarts=restarts)

    def _freeze(self, fault: Fault, process: psutil.Process) -> Done:
        frozen = [process, *process.children(recursive=True)] if fault.victim == "postgres" else [process]
        _signal_all(frozen, signal.SIGSTOP)
        time.sleep(self._random.uniform(*FREEZE_SECONDS))
        _signal_all(frozen, signal.SIGCONT)
        return Done(fault, time.time(), [], restarts=False)

    def _rival(self, fault: Fault, process: psutil.Process) -> Done:
        """Another process of the same service takes over while this one is frozen; then it wakes, a zombie."""
        process.send_signal(signal.SIGSTOP)
        rival = self._start_rival(fault.victim)
        time.sleep(RIVAL_SECONDS)
        process.send_signal(signal.SIGCONT)
        # The zombie ends, is started again, and is then the newer one: the rival must end by itself.
        return Done(fault, time.time(), [], restarts=False, rival=rival)

    def _start_rival(self, name: str) -> subprocess.Popen[bytes]:
        arguments = next(service.arguments for service in SERVICES if service.name == name)
        port = f"VBATCH_{name.upper().replace('-', '_')}_PORT"
        environment = os.environ | self._stack.stack.environment(name) | {port: str(free_port())}
        if name == "gpu-runner":  # on another machine, as far as a lock in a folder can tell
            environment |= self._elsewhere()
        with (self._stack.home / "logs" / f"rival-{name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, *arguments], env=environment, stdout=log, stderr=log)

    def _elsewhere(self) -> dict[str, str]:
        home = self._stack.home / "elsewhere"
        (home / "logs").mkdir(parents=True, exist_ok=True)
        return {"VBATCH_HOME": str(home), "VBATCH_BLOB_URL": f"file://{self._stack.home}/blobs"}

    def _cut(self, fault: Fault) -> Done | None:
        """Every connection of that server ends, as when a network does."""
        if fault.victim == "postgres":
            if not _cut_postgres(self._stack.home):
                return None
        elif not _cut_tcp(self._stack.settings.nats_port):
            return None
        return Done(fault, time.time(), [], restarts=False)

    def _full(self, fault: Fault, process: psutil.Process) -> Done:
        """No file of the process may grow: every write of it fails."""
        _limit_file_size(process.pid, 0)
        time.sleep(self._random.uniform(*FULL_SECONDS))
        with suppress(ProcessLookupError):
            _limit_file_size(process.pid, resource.RLIM_INFINITY)
        return Done(fault, time.time(), [], restarts=False)


def _signal_all(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _limit_file_size(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _cut_postgres(home: Path) -> bool:
    async def cut() -> None:
        connection = await asyncpg.connect((home / POSTGRES_URL_FILE).read_text().strip(), timeout=5)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        finally:
            await connection.close()

    try:
        asyncio.run(cut())
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    return True


def _cut_tcp(port: int) -> bool:
    """False where the kernel or the user may not end the connections of others (ss -K)."""
    if which("ss") is None:
        return False
    argv = ["ss", "-K", "-t", "state", "established", "sport", "=", f":{port}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode == 0 and len(done.stdout.splitlines()) > 1
