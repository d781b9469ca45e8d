"""Finds the process that uses the event log's store: two servers on one store would destroy it, and NATS does not
check."""

import re
from pathlib import Path

import psutil

from vbatch.chassis.files import LockHeld, hold_lock
from vbatch.local.log_server import LOCK_NAME, taken


def check_free(store: Path) -> None:
    """Check that the store is free. Raises StoreTaken if a server of ours, or one started without our lock, uses it
    now."""
    try:
        with hold_lock(store / LOCK_NAME):
            _check_unused(store)
    except LockHeld as error:
        raise taken(store, str(error)) from error


def _check_unused(store: Path) -> None:
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        if process.info["name"] == "nats-server" and _names(process, store):
            raise taken(store, f"nats-server with pid {process.pid}")


def _names(process: psutil.Process, store: Path) -> bool:
    """Return whether its arguments, or the configuration file among them, name the store; open files come and go."""
    arguments: list[str] = process.info["cmdline"] or []
    texts = [*arguments, *(_content(argument) for argument in arguments)]
    whole = re.compile(rf"(?<![^\s\"':={{]){re.escape(str(store))}/?(?![^\s\"'}}])")
    return any(whole.search(text) for text in texts)


def _content(argument: str) -> str:
    path = Path(argument)
    try:
        return path.read_text(errors="replace") if path.suffix and path.is_file() else ""
    except OSError:
        return ""
