"""What the fork server imports first: from then on it ends when the process that started it does, and has imported the
engine's code at its leisure.

By itself it lives as long as one of those that were forked from it, and those live as long as it.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import threading

IMPORTS_VARIABLE = "VBATCH_STANDBY_IMPORTS"
"""Names of modules, with commas; one that has moved away is imported late, as without a standby."""
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
