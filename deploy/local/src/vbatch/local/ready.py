"""`python -m vbatch.local.ready URL` exits 0 when the URL answers 200, else 1: the health check of a container."""

import sys

from vbatch.local.probes import NotYet, answers_ok

EXIT_NOT_READY = 1


def main() -> None:
    """Make one check, which takes at most the time limit of a probe."""
    try:
        sys.stdout.write(f"{answers_ok(sys.argv[1])()}\n")
    except NotYet as reason:
        sys.stdout.write(f"{reason}\n")
        raise SystemExit(EXIT_NOT_READY) from reason


if __name__ == "__main__":
    main()
