"""The local stack as a whole: up, down, status, logs.

Each call asks supervisord and the kernel what runs. All methods block; an asynchronous caller runs them in a thread.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import psutil

from vbatch.chassis.disk_use import REFUSE_SHARE, allowance_of
from vbatch.chassis.files import LockHeld, hold_lock
from vbatch.journal.port import Full, Rejected, TopologyMismatch, Unavailable
from vbatch.local import log_access, log_server, programs, store_owner, survivors
from vbatch.local.commands import LocalTrouble
from vbatch.local.probes import NotYet
from vbatch.local.programs import SERVICES, Program, Service
from vbatch.local.settings import LocalSettings, labeling_marker, monitoring_marker
from vbatch.local.supervisor import ProgramInfo, Supervisor

POLL_SECONDS = 0.1
LOG_LINES_SHOWN = 15
LOG_BYTES_READ = 65_536
SUPERVISOR_SECONDS_MAX = 90.0  # longer than the longest stop of a program

OnProgress = Callable[[str, str], None]
"""Called with the name of a program and what happened to it."""


@dataclass(frozen=True)
class ServiceStatus:
    """The current status of one program. `state` is supervisord's own term, or DOWN if there is no supervisord."""

    name: str
    state: str
    pid: int | None
    uptime_seconds: float
    restarts: int
    rss_bytes: int
    is_ready: bool
    detail: str


@dataclass(frozen=True)
class DiskStatus:
    """The size of the home, and the size from which new work is refused."""

    used_bytes: int
    bytes_max: int
    refused_from_bytes: int


@dataclass(frozen=True)
class StackStatus:
    """The current status of the whole stack."""

    supervisor_pid: int | None
    services: tuple[ServiceStatus, ...]
    disk: DiskStatus | None = None
    """None if the home has no limit."""

    @property
    def is_ready(self) -> bool:
        return all(service.is_ready for service in self.services)


class Stack:
    """The programs of one home folder."""

    def __init__(self, settings: LocalSettings, services: Sequence[Service] = SERVICES) -> None:
        self._settings, self._services = settings, services
        self._programs = programs.programs(settings, services)
        self._supervisor = Supervisor(settings.home)

    def up(self, on_progress: OnProgress = lambda _name, _text: None) -> None:
        """Start what does not run and wait until all programs are ready. LocalTrouble names a program that is not
        ready, and why."""
        with self._alone():
            self._start_supervisor()
            if self._settings.monitoring:
                monitoring_marker(self._settings.home).touch()
            if self._settings.labeling:
                labeling_marker(self._settings.home).touch()
            for _stage, stage in groupby(self._programs, key=lambda program: program.stage):
                self._start_stage(list(stage), on_progress)
                self._provide_streams()

    def down(self, on_progress: OnProgress = lambda _name, _text: None) -> None:
        """Stop everything, including what a dead supervisord left behind. LocalTrouble says what did not end."""
        with self._alone():
            running = survivors.processes_of(self._settings.home)
            if self._supervisor.is_running():
                on_progress("supervisord", "stopping")
                supervisor = psutil.Process(self._supervisor.pid())
                self._supervisor.shut_down()
                psutil.wait_procs([supervisor], timeout=SUPERVISOR_SECONDS_MAX)
                running.append(supervisor)
            self._end_survivors(running)
            self._supervisor.forget_socket()
            monitoring_marker(self._settings.home).unlink(missing_ok=True)
            labeling_marker(self._settings.home).unlink(missing_ok=True)
            on_progress("supervisord", "stopped")

    def restart(self, name: str, on_progress: OnProgress = lambda _name, _text: None) -> None:
        """Stop and start one program and wait until it is ready."""
        program = self._program(name)
        with self._alone():
            if not self._supervisor.is_running():
                raise LocalTrouble("the stack is down: start it first")
            on_progress(name, "stopping")
            self._supervisor.stop_program(name)
            self._start_stage([program], on_progress)

    def status(self) -> StackStatus:
        """Return what runs now; each program is probed for readiness."""
        infos, restarts = self._supervisor.infos(), self._supervisor.restarts()
        with ThreadPoolExecutor(max_workers=max(1, len(self._programs))) as threads:
            looked = list(threads.map(_look, self._programs))
        return StackStatus(
            supervisor_pid=self._supervisor.pid() if infos else None,
            services=tuple(
                _service_status(program.name, infos.get(program.name), restarts.get(program.name, 0), readiness)
                for program, readiness in zip(self._programs, looked, strict=True)
            ),
            disk=_disk_status(self._settings),
        )

    def log_path(self, name: str) -> Path:
        """Return the log of a program; older parts are beside it with .1, .2 and so on."""
        return self._settings.home / "logs" / f"{self._program(name).name}.log"

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a program, to run it by hand in the same stack."""
        return dict(self._program(name).environment)

    def _program(self, name: str) -> Program:
        for program in self._programs:
            if program.name == name:
                return program
        known = ", ".join(program.name for program in self._programs)
        raise LocalTrouble(f"no program {name!r} in this stack; there are {known}")

    def _start_supervisor(self) -> None:
        rendered = self._supervisor.render(self._programs)
        if self._supervisor.is_running():
            if not self._supervisor.is_running_with(rendered):
                raise LocalTrouble(
                    f"the stack of {self._settings.home} runs with other settings (supervisord has pid "
                    f"{self._supervisor.pid()}): take it down first with `vbatch down`, or set VBATCH_HOME to another "
                    "folder"
                )
            return
        self._end_survivors(survivors.processes_of(self._settings.home))
        for program in self._programs:
            _must_be_free(program)
        programs.prepare(self._settings)
        self._check_store()
        self._supervisor.start(rendered)

    def _check_store(self) -> None:
        if self._settings.has_own_nats:
            return
        try:
            store_owner.check_free(self._settings.home / "nats")
        except log_server.StoreTaken as error:
            raise LocalTrouble(str(error)) from error

    def _provide_streams(self) -> None:
        if self._settings.has_own_nats:
            return
        try:
            asyncio.run(log_access.provide_streams(self._settings))
        except (Unavailable, Full, Rejected, TopologyMismatch) as error:
            raise LocalTrouble(f"the streams of the event log could not be made: {error}") from error

    def _start_stage(self, stage: Sequence[Program], on_progress: OnProgress) -> None:
        for program in stage:
            on_progress(program.name, "starting")
            self._supervisor.start_program(program.name)
        started = time.monotonic()
        waiting = list(stage)
        while waiting:
            waiting = [program for program in waiting if not self._is_ready(program, started, on_progress)]
            time.sleep(POLL_SECONDS if waiting else 0)

    def _is_ready(self, program: Program, started: float, on_progress: OnProgress) -> bool:
        is_ready, detail = _look(program)
        seconds = time.monotonic() - started
        if is_ready:
            on_progress(program.name, f"ready in {seconds:.1f} s")
            return True
        self._must_be_trying(program)
        if seconds > self._settings.ready_seconds_max:
            raise LocalTrouble(
                self._failure(program.name, f"is not ready after {self._settings.ready_seconds_max:g} s", detail)
            )
        return False

    def _must_be_trying(self, program: Program) -> None:
        """Check that the program is still trying to start. Raises LocalTrouble."""
        info = self._supervisor.infos().get(program.name)
        if info is None or info.state == "FATAL":
            raise LocalTrouble(self._failure(program.name, "gave up", info.detail if info else "supervisord died"))

    def _failure(self, name: str, what: str, why: str) -> str:
        path = self.log_path(name)
        return f"{name} {what}: {why}\nthe end of {path}:\n{last_lines(path)}"

    def _end_survivors(self, processes: Sequence[psutil.Process]) -> None:
        stubborn = survivors.end([*processes, *survivors.processes_of(self._settings.home)])
        if stubborn:
            pids = ", ".join(str(process.pid) for process in stubborn)
            raise LocalTrouble(f"these processes did not end even when killed: {pids}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        run = self._settings.home / "run"
        for folder in (self._settings.home, run):  # parents that mkdir creates are open, whatever the mode
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with hold_lock(run / "stack.lock"):
                yield
        except LockHeld as error:
            raise LocalTrouble(f"the stack is being changed by somebody else: {error}") from error


def last_lines(path: Path, count: int = LOG_LINES_SHOWN) -> str:
    """Return the end of a log; empty if there is none yet."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES_READ))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def _look(program: Program) -> tuple[bool, str]:
    try:
        return True, program.probe()
    except NotYet as reason:
        return False, str(reason)


def _service_status(name: str, info: ProgramInfo | None, restarts: int, readiness: tuple[bool, str]) -> ServiceStatus:
    if info is None:
        return ServiceStatus(name, "DOWN", None, 0.0, 0, 0, False, "the stack is down")
    is_ready, detail = readiness
    is_running = info.pid is not None
    return ServiceStatus(
        name=name,
        state=info.state,
        pid=info.pid,
        uptime_seconds=info.uptime_seconds,
        restarts=restarts,
        rss_bytes=survivors.resident_bytes(info.pid) if info.pid is not None else 0,
        is_ready=is_ready and is_running,
        detail=detail if is_running else info.detail,
    )


def _must_be_free(program: Program) -> None:
    for variable, port in program.ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise LocalTrouble(
                    f"port {port} of {program.name} is taken by another program: set {variable} to a free one"
                ) from error


def _disk_status(settings: LocalSettings) -> DiskStatus | None:
    allowance = allowance_of(settings.home, settings.disk_bytes_max)
    if allowance is None:
        return None
    return DiskStatus(allowance.used(), allowance.bytes_max, int(REFUSE_SHARE * allowance.bytes_max))
