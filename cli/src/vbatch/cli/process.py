"""The `vbatch` command as a separate process."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from vbatch.cli.exits import Exit
from vbatch.cli.main import app

OBJECT_STORE_LIBRARY = "obstore"


def main() -> NoReturn:
    """Run the command of the arguments and end with its exit code."""
    try:
        app()
    except SystemExit as end:
        _leave_threads_alone(end)
        raise
    sys.exit(Exit.GOOD)


def _leave_threads_alone(end: SystemExit) -> None:
    """End the process here if an object store was used. A thread of its library that releases an object while the
    interpreter shuts down aborts the process (PyO3/pyo3-async-runtimes#40), and the exit code would be lost."""
    if OBJECT_STORE_LIBRARY not in sys.modules or not isinstance(end.code, int | None):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code or Exit.GOOD)
