"""`python -m vbatch.local.systemd FOLDER` writes the systemd units of the local stack, from its table of programs.

A unit names a program and says when it starts and how it ends; its command, ports and environment come from the same
table when it starts (`vbatch.local.run`). A unit denies everything that the program does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vbatch.chassis.files import write_atomically
from vbatch.local import programs
from vbatch.local.programs import Program
from vbatch.local.run import PREPARE
from vbatch.local.settings import LocalSettings

PREFIX = "vbatch"
INSTALLED = Path("/opt/vbatch")
"""Where the repository is, with everything that `./taskw setup` and `./taskw setup:engine` created in it."""
PYTHON = INSTALLED / ".venv/bin/python"
RESTART_SECONDS = 1
FILE_MODE = 0o644
TARGET = f"{PREFIX}.target"
LABELING_TARGET = f"{PREFIX}-labeling.target"
OF_LABELING = ("labeler", "label-studio")
"""These programs run only where their own target is enabled."""

RUNNER = "gpu-runner"
LOOPBACK_ONLY = ("nats", "postgres")
"""Programs that listen on loopback and connect only there. Services may be configured with servers and blob stores
elsewhere."""

UNIT = """\
# Written by `./taskw docs` from the table of programs in vbatch.local; change that, or add a drop-in (systemctl edit).
[Unit]
Description=vLLM Batch Server: {description}
Documentation=file://{installed}/docs/deployment.md
{ordering}
[Service]
{life}
User={prefix}
Group={prefix}
WorkingDirectory={installed}
Environment=VBATCH_HOME=/var/lib/{prefix}
EnvironmentFile=-/etc/{prefix}/{prefix}.env
StateDirectory={prefix}
StateDirectoryMode=0700
UMask=0077
LimitNOFILE=65536
TasksMax=4096

{rights}"""

HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RemoveIPC=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""

NO_DEVICES = "PrivateDevices=yes\nMemoryDenyWriteExecute=yes\n"
GPU = """\
# An engine opens the devices of its GPU and compiles its kernels, so these two differ from the others.
PrivateDevices=no
MemoryDenyWriteExecute=no
"""
NO_NETWORK = "IPAddressDeny=any\nIPAddressAllow=localhost\n"


@dataclass(frozen=True, slots=True)
class Unit:
    """A step that runs once before programs start: a module with its arguments."""

    name: str
    description: str
    arguments: str
    after: tuple[str, ...] = ()


JOBS = (
    Unit(PREPARE, "folders, keys and the database", f"-m vbatch.local.run {PREPARE}"),
    Unit("streams", "the streams of the event log", "-m vbatch.local.streams", after=("nats",)),
)


BACKUP = "backup"
BACKUP_FOLDER = Path("/var/backups/vbatch")
TIMER = f"{PREFIX}-{BACKUP}.timer"


def main() -> None:
    """Write all units."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in units(table()).items():
        write_atomically(folder / name, text.encode(), mode=FILE_MODE)


def table() -> list[Program]:
    """Return the programs of a stack with its default settings and with Label Studio."""
    with TemporaryDirectory() as home:  # a table with Label Studio creates its secrets
        return programs.programs(LocalSettings(home=Path(home), labeling=True))


def units(table: Iterable[Program]) -> dict[str, str]:
    """Return the text of each unit file, by its name."""
    table = list(table)
    jobs = {_unit(unit.name): _unit_of(unit) for unit in JOBS}
    services = {_unit(program.name): _program(program, table) for program in table}
    backup = {_unit(BACKUP): _backup(), TIMER: _timer()}
    labeling = [_unit(name) for name in OF_LABELING]
    core = [name for name in (*jobs, *services) if name not in labeling]
    targets = {
        TARGET: _target("vLLM Batch Server", core),
        LABELING_TARGET: _target("vLLM Batch Server: Label Studio and the labeler", labeling, after=TARGET),
    }
    return {**targets, **jobs, **services, **backup, "vbatch.sysusers.conf": _users()}


def _target(description: str, wanted: Iterable[str], after: str | None = None) -> str:
    order = f"Requires={after}\nAfter={after}\n" if after else ""
    return (
        "# Written by `./taskw docs`: units to be started, stopped and enabled as one.\n"
        f"[Unit]\nDescription={description}\n{order}"
        f"Wants={' '.join(wanted)}\n\n[Install]\nWantedBy=multi-user.target\n"
    )


def _users() -> str:
    return f'# For systemd-sysusers(8).\nu {PREFIX} - "vLLM Batch Server" /var/lib/{PREFIX} -\n'


def _unit_of(unit: Unit) -> str:
    after = (*(() if unit.name == PREPARE else (PREPARE,)), *unit.after)
    life = f"Type=oneshot\nRemainAfterExit=yes\nExecStart={PYTHON} {unit.arguments}\n{_restart('on-failure')}"
    return _text(unit.description, _ordering(after, TARGET), life, HARDENING + NO_DEVICES)


def _program(program: Program, table: list[Program]) -> str:
    earlier = [other.name for other in table if other.stage < program.stage]
    after = (PREPARE, *earlier, *(("streams",) if earlier else ()))
    life = (
        f"Type=exec\nExecStart={PYTHON} -m vbatch.local.run {program.name}\n{_restart('always')}\n"
        f"KillSignal=SIG{program.stop_signal}\nKillMode={'control-group' if program.stop_as_group else 'mixed'}\n"
        f"TimeoutStopSec={program.stop_seconds_max}"
    )
    rights = HARDENING + (GPU if program.name == RUNNER else NO_DEVICES)
    ordering = _ordering(after, LABELING_TARGET if program.name in OF_LABELING else TARGET)
    return _text(program.name, ordering, life, rights + (NO_NETWORK if program.name in LOOPBACK_ONLY else ""))


def _backup() -> str:
    """Return the backup unit. It runs beside the stack, when its timer says so, and may write to one folder more than
    the others."""
    life = f"Type=oneshot\nExecStart={PYTHON} -m vbatch.cli backup {BACKUP_FOLDER}"
    rights = f"{HARDENING}{NO_DEVICES}ReadWritePaths={BACKUP_FOLDER}\n"
    return _text("a backup", f"After={TARGET}\n", life, rights)


def _timer() -> str:
    return (
        "# Written by `./taskw docs`. Each night, or once the machine is up again; systemctl edit changes the time.\n"
        "[Unit]\nDescription=vLLM Batch Server: a backup each night\n\n"
        "[Timer]\nOnCalendar=*-*-* 03:15:00\nRandomizedDelaySec=15min\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def _restart(when: str) -> str:
    """Return the restart settings. It restarts without end: a full disk, or an unavailable server, may last."""
    return f"Restart={when}\nRestartSec={RESTART_SECONDS}"


def _ordering(after: tuple[str, ...], target: str) -> str:
    """Return the ordering lines. The programs wait for each other by themselves; the order keeps the logs quiet."""
    before = " ".join(_unit(name) for name in after)
    jobs = " ".join(_unit(name) for name in after if name == PREPARE)
    needs = [f"Requires={jobs}"] if jobs else []
    order = [f"After={before}"] if before else []
    return "\n".join([f"PartOf={target}", *needs, *order, "StartLimitIntervalSec=0", ""])


def _text(description: str, ordering: str, life: str, rights: str) -> str:
    return UNIT.format(
        description=description, ordering=ordering, life=life, rights=rights, prefix=PREFIX, installed=INSTALLED
    )


def _unit(name: str) -> str:
    return f"{PREFIX}-{name}.service"


if __name__ == "__main__":
    main()
