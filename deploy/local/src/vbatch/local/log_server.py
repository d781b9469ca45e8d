"""`python -m vbatch.local.log_server STORE HEALTH_URL PROGRAM …` becomes PROGRAM, which owns the store while it runs.

The program also ends when its supervisor does, which nats-server cannot arrange itself, and has a healer beside it.
"""

import os
import subprocess
import sys
from pathlib import Path

from vbatch.chassis.files import LockHeld, hold_lock, keep_private
from vbatch.chassis.parent import die_with_parent

LOCK_NAME = "vbatch.lock"
EXIT_STORE_TAKEN = 75  # EX_TEMPFAIL of sysexits.h


class StoreTaken(Exception):
    """Another process uses the store. The text names it and says what to do."""


def main() -> None:
    """Lock the store and become the program. Exits with 75 if another process holds the store."""
    store, health_url, *argv = sys.argv[1:]
    die_with_parent()
    keep_private()
    try:
        with hold_lock(Path(store) / LOCK_NAME) as descriptor:
            os.set_inheritable(descriptor, True)
            _start_healer(store, health_url)
            os.execv(argv[0], argv)
    except LockHeld as error:
        _refuse(taken(Path(store), str(error)))


def taken(store: Path, why: str) -> StoreTaken:
    return StoreTaken(
        f"another server works on {store}: {why}. Stop the stack it belongs to with `vbatch down`, or end that "
        "process; or set VBATCH_HOME to another folder"
    )


def _start_healer(store: str, health_url: str) -> None:
    subprocess.Popen([sys.executable, "-m", "vbatch.local.log_healer", str(os.getpid()), health_url, store])


def _refuse(error: StoreTaken) -> None:
    sys.stderr.write(f"{error}\n")
    sys.exit(EXIT_STORE_TAKEN)


if __name__ == "__main__":
    main()
