"""The first import of the fork server: makes it end with the process that started it, and imports the engine's code.

A fork server by itself lives as long as any process forked from it, and those processes live as long as it does.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import threading

IMPORTS_VARIABLE = "VBATCH_STANDBY_IMPORTS"
"""Module names, separated by commas; a module that has moved is imported later, as without a standby."""
NICENESS_VARIABLE = "VBATCH_STANDBY_NICENESS"
"""The niceness of the imports; the highest if it is not set."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
NICENESS_MAX = 19


def import_at_leisure(modules: list[str], niceness: int) -> None:
    """Import in a thread with this niceness, so that a running model goes first even if it uses every core. On Linux,
    niceness belongs to a thread and cannot be lowered again without privileges. Processes forked from the main thread
    do not have it."""
    thread = threading.Thread(target=_import_all, args=(modules, niceness))
    thread.start()
    thread.join()


def _import_all(modules: list[str], niceness: int) -> None:
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, max(niceness, os.getpriority(os.PRIO_PROCESS, thread)))
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
import_at_leisure(
    [name for name in os.environ.pop(IMPORTS_VARIABLE, "").split(",") if name],
    int(os.environ.pop(NICENESS_VARIABLE, NICENESS_MAX)),
)
