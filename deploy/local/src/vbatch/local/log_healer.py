"""`python -m vbatch.local.log_healer PID HEALTH_URL STORE` runs beside a nats-server and ends it when a restart helps.

A nats-server that met a full disk answers no more writes until it is restarted, even when there is space again. Its
supervisor restarts it as soon as it has ended; everything it acknowledged is complete by then.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vbatch.chassis.parent import die_with_parent
from vbatch.local.probes import NotYet, answers_ok

LOOK_SECONDS = 2.0
ROOM_BYTES_MIN = 32 * 1024 * 1024
"""This much space, or a tenth of a small disk, must be free: otherwise the next start would end like the last one."""
DISK_FULL_WORDS = ("no space left on device", "disk quota exceeded")


def main() -> None:
    """Check the server until it ends, or end it once a restart helps."""
    pid, health_url, store = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    die_with_parent(signal.SIGKILL, parent=pid)
    look = answers_ok(health_url)
    while not (is_deaf(look) and has_room(store)):
        time.sleep(LOOK_SECONDS)
    sys.stderr.write(f"log_healer: {store} has space again, restarting the server\n")
    os.kill(pid, signal.SIGTERM)


def is_deaf(look: Callable[[], str]) -> bool:
    """Return whether the server reports that it stopped writing because of a full disk."""
    try:
        look()
    except NotYet as reason:
        return any(words in str(reason).lower() for words in DISK_FULL_WORDS)
    return False


def has_room(store: Path) -> bool:
    usage = shutil.disk_usage(store)
    return usage.free >= min(ROOM_BYTES_MIN, usage.total // 10)


if __name__ == "__main__":
    main()
