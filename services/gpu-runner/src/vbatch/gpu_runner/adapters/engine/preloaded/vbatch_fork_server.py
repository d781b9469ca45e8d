"""What the fork server imports first: from then on it ends when the process that started it does.

By itself it lives as long as one of those that were forked from it, and those live as long as it.
"""

from __future__ import annotations

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # linux/prctl.h

ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
