"""supervisord as we use it: its configuration, its start in the background and its XML-RPC interface.

It knows programs by name. The stack decides what ready means and in which order they start.
"""

import hashlib
import os
import re
import shlex
import stat
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from vbatch.chassis.settings import STACK_VARIABLE
from vbatch.local.commands import LocalTrouble
from vbatch.local.programs import Program

START_SECONDS_MAX = 15.0
START_TRIES_MAX = 100_000  # without end: a disk may stay full. supervisord waits one second longer before each try
STABLE_SECONDS = 2
LOG_BYTES_MAX = 20_000_000
LOG_BACKUPS = 5
SOCKET_PATH_BYTES_MAX = 90
POLL_SECONDS = 0.05

HEAD = """\
[unix_http_server]
file={socket}
chmod=0700
[supervisord]
logfile={logs}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={run}/supervisord.pid
childlogdir={logs}
directory={home}
umask=077
nodaemon=false
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

PROGRAM = """\
[program:{name}]
command={command}
directory={directory}
priority={priority}
environment={environment}
autostart=false
autorestart=true
startsecs={startsecs}
startretries={startretries}
stopsignal={stop_signal}
stopwaitsecs={stop_seconds_max}
stopasgroup={stop_as_group}
killasgroup=true
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes={log_bytes}
stdout_logfile_backups={log_backups}
"""


@dataclass(frozen=True)
class ProgramInfo:
    """What supervisord reports of a program; `state` is supervisord's own term."""

    name: str
    state: str
    pid: int | None
    uptime_seconds: float
    detail: str


class Supervisor:
    """The supervisord of one home folder. It may be running or not."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._run, self._logs = home / "run", home / "logs"
        self._config = self._run / "supervisord.conf"
        self._socket = _socket_path(self._run)

    def render(self, programs: Iterable[Program]) -> str:
        """Return the whole configuration. It is equal for equal settings, so that a change is visible."""
        if "%" in str(self._home):
            raise LocalTrouble(f"supervisord cannot keep its logs in {self._home}: choose a home without %")
        head = HEAD.format(socket=_plain(self._socket), **self._folders(), home=_plain(self._home))
        return head + "".join(_program_section(program, self._folders()["logs"]) for program in programs)

    def is_running_with(self, rendered: str) -> bool:
        """Return whether the running supervisord was started with this configuration."""
        return self._config.exists() and self._config.read_text() == rendered

    def start(self, rendered: str) -> None:
        """Start supervisord in the background; its programs stay stopped."""
        if self._socket.parent != self._run:
            _make_private(self._socket.parent)
        self._config.write_text(rendered)
        self._config.chmod(0o600)
        (self._logs / "supervisord.log").unlink(missing_ok=True)
        argv = [sys.executable, "-m", "vbatch.local.supervisord", "-c", str(self._config)]
        env = os.environ | {STACK_VARIABLE: str(self._home)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=START_SECONDS_MAX)
        if done.returncode != 0:
            raise LocalTrouble(f"supervisord did not start: {(done.stderr or done.stdout).strip()[-1000:]}")
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self.is_running():
            if time.monotonic() > deadline:
                raise LocalTrouble(f"supervisord does not answer: see {self._logs}/supervisord.log")
            time.sleep(POLL_SECONDS)

    def is_running(self) -> bool:
        """Return whether supervisord answers."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def pid(self) -> int:
        return int(self._call("getPID"))

    def start_program(self, name: str) -> None:
        """Start `name`; a program that already runs is left alone."""
        self._ignoring("ALREADY_STARTED", "startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """Stop `name` and wait until it has ended."""
        self._ignoring("NOT_RUNNING", "stopProcess", name, True)

    def shut_down(self) -> None:
        """Tell supervisord to stop everything and then itself. Returns at once."""
        self._call("shutdown")

    def forget_socket(self) -> None:
        """Remove the temporary folder that held the socket, if there was one."""
        if self._socket.parent != self._run and self._socket.parent.exists():
            self._socket.unlink(missing_ok=True)
            self._socket.parent.rmdir()

    def infos(self) -> dict[str, ProgramInfo]:
        """Return every program by name; empty if supervisord does not answer."""
        try:
            return {info["name"]: _info(info) for info in self._call("getAllProcessInfo")}
        except (OSError, xmlrpc.client.Error):
            return {}

    def restarts(self) -> Mapping[str, int]:
        """Return how often each program was restarted since supervisord started."""
        log = self._logs / "supervisord.log"
        spawned = re.findall(r"spawned: '([^']+)'", log.read_text(errors="replace") if log.exists() else "")
        return {name: spawned.count(name) - 1 for name in set(spawned)}

    def _folders(self) -> dict[str, str]:
        return {"run": _plain(self._run), "logs": _plain(self._logs)}

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - XML-RPC has no types
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
            return getattr(server.supervisor, method)(*arguments)

    def _ignoring(self, fault: str, method: str, *arguments: object) -> None:
        try:
            self._call(method, *arguments)
        except xmlrpc.client.Fault as error:
            if fault not in error.faultString:
                raise LocalTrouble(f"supervisord refused {method} {arguments[0]}: {error.faultString}") from error


def _info(info: dict[str, Any]) -> ProgramInfo:
    is_up = info["statename"] in ("RUNNING", "STARTING", "STOPPING")
    uptime = float(info["now"] - info["start"]) if is_up else 0.0
    detail = str(info["spawnerr"] or info["description"])
    return ProgramInfo(info["name"], info["statename"], info["pid"] or None, uptime, detail)


def _program_section(program: Program, logs: str) -> str:
    variables = {**program.command.env, **program.environment}
    return PROGRAM.format(
        name=program.name,
        command=_plain(shlex.join(program.command.argv)),
        directory=_plain(Path.cwd()),  # paths in settings, such as models.toml, are relative to where `up` was run
        priority=program.stage,  # the lowest stops last: a service ends cleanly only while its log still answers
        environment=",".join(f'{key}="{_plain(value)}"' for key, value in variables.items()),
        startsecs=STABLE_SECONDS,
        startretries=START_TRIES_MAX,
        stop_signal=program.stop_signal,
        stop_seconds_max=program.stop_seconds_max,
        stop_as_group=str(program.stop_as_group).lower(),
        logs=logs,
        log_bytes=LOG_BYTES_MAX,
        log_backups=LOG_BACKUPS,
    )


def _plain(value: object) -> str:
    """Format `value` for supervisord's configuration, whose syntax can quote some characters and not others."""
    text = str(value)
    if any(character in text for character in '"\n;'):
        raise LocalTrouble(f'supervisord cannot be told {text!r}: choose a home and settings without " and ;')
    return text.replace("%", "%%")


def _socket_path(run: Path) -> Path:
    """Return the path in the run folder, or in a private temporary folder if it would be too long for the kernel."""
    path = run / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(run)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"vbatch-{os.geteuid()}-{digest}" / path.name


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise LocalTrouble(f"{folder} is not ours alone: remove it, or choose a home with a shorter path")
