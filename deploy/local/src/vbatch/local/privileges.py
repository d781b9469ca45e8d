"""Runs a program that refuses to run as root under an unprivileged user. It adds no users and opens no folders."""

import os
import pwd
import shutil
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from vbatch.local.commands import Command, LocalTrouble

UNPRIVILEGED_USER = "nobody"


def unprivileged(argv: Sequence[str], *, touches: Sequence[Path], death_signal: str | None = None) -> Command:
    """Return the command that runs `argv` as the caller's user, or as `nobody` if the caller is root.

    `touches` are folders that the program must reach. If one of them, or the program itself, is below a closed folder
    such as /root, the program keeps the one capability that lets it pass (CAP_DAC_READ_SEARCH).
    """
    options = ["--pdeathsig", death_signal] if death_signal and shutil.which("setpriv") else []
    if os.geteuid() != 0:
        prefix = [_setpriv(), *options, "--"] if options else []
        return Command((*prefix, *argv), {}, None)
    entry = _unprivileged_entry()
    options += ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups"]
    kept = capabilities_needed([Path(argv[0]), *touches])
    options += [f"--{scope}={kept}" for scope in ("inh-caps", "ambient-caps", "bounding-set")]
    return Command((_setpriv(), *options, "--", *argv), {"HOME": "/"}, entry.pw_name)


def give_to_unprivileged(path: Path) -> None:
    """Give `path`, which the caller created, to the user that `unprivileged` runs as."""
    if os.geteuid() == 0:
        entry = _unprivileged_entry()
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _unprivileged_entry() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        raise LocalTrouble(
            f"PostgreSQL refuses to run as root and there is no user {UNPRIVILEGED_USER!r}: run as another user"
        ) from error


def _setpriv() -> str:
    path = shutil.which("setpriv")
    if path is None:
        raise LocalTrouble(
            "PostgreSQL refuses to run as root and setpriv (util-linux) is not installed: install it, run as "
            "another user, or set VBATCH_POSTGRES_URL to a PostgreSQL of your own"
        )
    return path


def capabilities_needed(paths: Iterable[Path]) -> str:
    """Return the capabilities, in the words of setpriv, that another user needs to reach these paths."""
    closed = any(not _is_open_to_all(folder) for path in paths for folder in path.resolve().parents)
    return "-all,+dac_read_search" if closed else "-all"


def _is_open_to_all(folder: Path) -> bool:
    """A folder that does not exist yet will be private, as all that we create (`keep_private`)."""
    return folder.exists() and bool(folder.stat().st_mode & stat.S_IXOTH)
