"""`python -m vbatch.local.locked LOCK PROGRAM …` becomes PROGRAM, which holds the lock as long as it lives.

The program also ends when its supervisor does, which many programs cannot arrange for themselves.
"""

import os
import sys
from pathlib import Path

from vbatch.chassis.files import LockHeld, hold_lock
from vbatch.chassis.parent import die_with_parent

EXIT_LOCK_HELD = 75  # EX_TEMPFAIL of sysexits.h


def main() -> None:
    """Take the lock and turn into the program; exits 75 when another process has the lock."""
    lock, *argv = sys.argv[1:]
    die_with_parent()
    try:
        with hold_lock(Path(lock)) as descriptor:
            os.set_inheritable(descriptor, True)
            os.execv(argv[0], argv)
    except LockHeld as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_LOCK_HELD)


if __name__ == "__main__":
    main()
