"""Children that do not outlive their parent. Light to import: small programs that need nothing else begin with it."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(death_signal: signal.Signals = signal.SIGTERM, *, parent: int | None = None) -> None:
    """Have the kernel send `death_signal` when the parent ends, however it ends. Does nothing off Linux.

    A child that calls this late passes the pid of its `parent`, which may have ended by then.
    """
    if sys.platform != "linux":
        return
    parent = parent or os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # the parent ended before the kernel knew of the request
        os.kill(os.getpid(), death_signal)
