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
"""How far the imports give way; all the way where nothing else is said."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h
NICENESS_MAX = 19


def import_at_leisure(modules: list[str], niceness: int) -> None:
    """A model at work goes first, also where it takes every core. Niceness is a thread's own on Linux, and cannot be
    taken back without rights: what is forked from the main thread has none of it."""
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
