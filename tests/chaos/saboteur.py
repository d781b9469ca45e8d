"""Does faults to the processes of a running stack, by pid, and says what must be gone and what must come back."""

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
from pathlib import Path
from random import Random

import asyncpg
import psutil

from tests.chaos.disks import Disks
from tests.chaos.faults import CLOCK, REBUILD, SERVICES, SIGNALS, SUPERVISED, Done, Fault, Means
from tests.chaos.links import Links
from tests.chaos.places import Places
from tests.support.postgres import free_port
from tests.support.stack import RunningStack
from vbatch.chassis.failpoints import Failpoint
from vbatch.chassis.settings import POSTGRES_URL_FILE
from vbatch.local.postgres import HOST
from vbatch.local.programs import SERVICES as PROGRAMS
from vbatch.local.supervisor import Supervisor

RIVAL_SECONDS = 2.5
"""For a second process to start and take the lease of one that is frozen."""
FREEZE_SECONDS = (0.3, 4.0)
SILENCE_SECONDS = (0.5, 6.0)
FULL_SECONDS = (0.5, 2.0)
DISK_SECONDS = (0.5, 4.0)
STEP_SECONDS = (1.0, 3.0)
STEP_SIZE_SECONDS = 3_600.0
PLACE_SECONDS_MAX = 15.0
"""For a process to come to the place where it is to be struck."""
GUARD_MARK = "guard.py"
BACKEND_MARK = f" {HOST}("
STOP_SIGNALS = {"postgres": signal.SIGINT}
"""PostgreSQL waits for its clients on SIGTERM, and ours never leave."""
AFTER_A_START = (Failpoint.SCHEDULER_LEASED, Failpoint.RUNNER_LEASED, Failpoint.RESULTS_LEASED)
AFTER_AN_ENGINE = (Failpoint.ENGINE_LOST, Failpoint.ENGINE_STARTED)


class Saboteur:
    """Does faults to one stack. Without `links`, `places` and `disks` there is nothing to cut, no place to strike
    at, and nothing that can be full."""

    def __init__(
        self,
        stack: RunningStack,
        random: Random,
        links: Links | None = None,
        places: Places | None = None,
        disks: Disks | None = None,
    ) -> None:
        self._stack = stack
        self._random = random
        self._links = links
        self._places = places
        self._disks = disks.by_name if disks else {}
        self._supervisor = Supervisor(stack.home)

    def pid(self, name: str) -> int | None:
        """What supervisord has under this name now."""
        info = self._supervisor.infos().get(name)
        return info.pid if info else None

    def do(self, fault: Fault) -> Done | None:
        """None when there is no such process at this moment, or none came to the place."""
        try:
            return self._at_place(fault, fault.place) if fault.place else self._at_once(fault)
        except psutil.NoSuchProcess:
            return None

    # at a place

    def _at_place(self, fault: Fault, place: Failpoint) -> Done | None:
        if self._places is None:
            return None
        with self._places.armed(place, SIGNALS[fault.means]):
            command = self._lead_to(place)
            pid = self._places.hit(place, PLACE_SECONDS_MAX)
        if pid is None:
            return None if command is None else Done(fault, time.time(), ending=command)
        rival = self._afterwards(fault, pid)
        restarts = fault.means in (Means.KILL, Means.TERM) and fault.victim in SUPERVISED
        return Done(fault, time.time(), restarts=restarts, ending=command or rival)

    def _lead_to(self, place: Failpoint) -> subprocess.Popen[bytes] | None:
        """Most places are come to by work alone."""
        if place.process == REBUILD:
            return self._start(REBUILD, ("-m", "vbatch.cli", "rebuild", "--switch"), {})
        if place in AFTER_AN_ENGINE:
            doomed = self._guards()
        else:
            process = self._process(place.process)
            doomed = [process] if process and place in AFTER_A_START else []
        _signal_all(doomed, signal.SIGKILL)
        return None

    def _afterwards(self, fault: Fault, pid: int) -> subprocess.Popen[bytes] | None:
        """Wake what stopped at its place; a rival may have come meanwhile."""
        if fault.means not in (Means.FREEZE, Means.RIVAL):
            return None
        rival = self._start_rival(fault.victim) if fault.means is Means.RIVAL else None
        time.sleep(RIVAL_SECONDS if rival else self._random.uniform(*FREEZE_SECONDS))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return rival

    # at once

    def _at_once(self, fault: Fault) -> Done | None:
        if fault.victim == CLOCK:
            return self._step(fault)
        if fault.means is Means.CUT:
            return self._cut(fault)
        if fault.means is Means.SILENCE:
            return self._silence(fault)
        if fault.means is Means.DISK:
            return self._disk(fault)
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
        serving = [process for process in below if BACKEND_MARK in " ".join(process.cmdline())]
        return self._random.choice(serving) if serving else None

    def _below_runner(self, victim: str) -> psutil.Process | None:
        """Of the engine that serves or of the one that waits for its turn."""
        guards = self._guards()
        found = guards if victim == "guard" else [child for guard in guards for child in guard.children()]
        return self._random.choice(found) if found else None

    def _guards(self) -> list[psutil.Process]:
        pid = self.pid("gpu-runner")
        below = psutil.Process(pid).children() if pid else []
        return [process for process in below if any(GUARD_MARK in word for word in process.cmdline())]

    def _kill(self, fault: Fault, process: psutil.Process) -> Done:
        number = signal.SIGKILL if fault.means is Means.KILL else STOP_SIGNALS.get(fault.victim, signal.SIGTERM)
        doomed = [process, *process.children(recursive=True)]
        process.send_signal(number)
        restarts = fault.victim in SUPERVISED
        return Done(fault, time.time(), doomed if fault.means is Means.KILL else [], restarts)

    def _freeze(self, fault: Fault, process: psutil.Process) -> Done:
        frozen = [process, *process.children(recursive=True)] if fault.victim == "postgres" else [process]
        _signal_all(frozen, signal.SIGSTOP)
        time.sleep(self._random.uniform(*FREEZE_SECONDS))
        _signal_all(frozen, signal.SIGCONT)
        return Done(fault, time.time())

    def _rival(self, fault: Fault, process: psutil.Process) -> Done:
        """Another process of the same service takes over while this one is frozen; then it wakes, a zombie."""
        process.send_signal(signal.SIGSTOP)
        rival = self._start_rival(fault.victim)
        time.sleep(RIVAL_SECONDS)
        process.send_signal(signal.SIGCONT)
        # The zombie ends, is started again, and is then the newer one: the rival must end by itself.
        return Done(fault, time.time(), ending=rival)

    def _start_rival(self, name: str) -> subprocess.Popen[bytes]:
        arguments = next(service.arguments for service in PROGRAMS if service.name == name)
        port = f"VBATCH_{name.upper().replace('-', '_')}_PORT"
        environment = self._stack.stack.environment(name) | {port: str(free_port())}
        if name == "gpu-runner":  # on another machine, as far as a lock in a folder can tell
            environment |= self._elsewhere()
        return self._start(f"rival-{name}", arguments, environment)

    def _start(self, name: str, arguments: tuple[str, ...], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self._stack.home / "logs" / f"{name}.log").open("ab") as log:
            argv = [sys.executable, *arguments]
            return subprocess.Popen(argv, env=os.environ | environment, stdout=log, stderr=log)

    def _elsewhere(self) -> dict[str, str]:
        home = self._stack.home / "elsewhere"
        (home / "logs").mkdir(parents=True, exist_ok=True)
        return {"VBATCH_HOME": str(home), "VBATCH_BLOB_URL": f"file://{self._stack.home}/blobs"}

    def _cut(self, fault: Fault) -> Done | None:
        """Every connection of PostgreSQL ends, or those of one service to the log."""
        if fault.victim in SERVICES:
            is_cut = self._links is not None and self._links.cut(fault.victim) > 0
        else:
            is_cut = _cut_postgres(self._stack.home)
        return Done(fault, time.time()) if is_cut else None

    def _silence(self, fault: Fault) -> Done | None:
        """Nothing that the service and the log say to each other arrives for a while; nobody is told."""
        if self._links is None:
            return None
        with self._links.silent(fault.victim):
            time.sleep(self._random.uniform(*SILENCE_SECONDS))
        return Done(fault, time.time())

    def _step(self, fault: Fault) -> Done | None:
        """The clock of all services is wrong by up to an hour, and then right again."""
        if self._places is None:
            return None
        with self._places.stepped(self._random.uniform(-STEP_SIZE_SECONDS, STEP_SIZE_SECONDS)):
            time.sleep(self._random.uniform(*STEP_SECONDS))
        return Done(fault, time.time())

    def _disk(self, fault: Fault) -> Done | None:
        """There is no room where the victim's files are."""
        if fault.victim not in self._disks:
            return None
        with self._disks[fault.victim].full():
            time.sleep(self._random.uniform(*DISK_SECONDS))
        return Done(fault, time.time())

    def _full(self, fault: Fault, process: psutil.Process) -> Done:
        """No file of the process may grow: every write of it fails."""
        _limit_file_size(process.pid, 0)
        time.sleep(self._random.uniform(*FULL_SECONDS))
        with suppress(ProcessLookupError):
            _limit_file_size(process.pid, resource.RLIM_INFINITY)
        return Done(fault, time.time())


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
