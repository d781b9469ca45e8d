"""Children that do not outlive their parent. Light to import, because small programs that need nothing else use it."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(death_signal: signal.Signals = signal.SIGTERM, *, parent: int | None = None) -> None:
    """Have the kernel send `death_signal` when the parent ends, for whatever reason. Does nothing except on Linux.

    A child that calls this late passes the pid of its `parent`, which may have ended by then.
    """
    if sys.platform != "linux":
        return
    parent = parent or os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # the parent ended before the kernel received the request
        os.kill(os.getpid(), death_signal)
