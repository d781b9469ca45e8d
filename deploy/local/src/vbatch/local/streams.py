"""`python -m vbatch.local.streams` creates the streams of the log with the operator's key, which services do not
have."""

import asyncio
import sys

from vbatch.chassis.settings import load_or_exit
from vbatch.journal.port import Full, Rejected, TopologyMismatch, Unavailable
from vbatch.local.log_access import provide_streams
from vbatch.local.settings import LocalSettings

EXIT_NO_STREAMS = 1


def main() -> None:
    """Create the streams. Exits with 1 when the log refuses; the text says why."""
    settings = load_or_exit(LocalSettings)
    try:
        asyncio.run(provide_streams(settings))
    except (Unavailable, Full, Rejected, TopologyMismatch) as error:
        sys.stderr.write(f"the streams of the event log could not be made: {error}\n")
        raise SystemExit(EXIT_NO_STREAMS) from error
    sys.stdout.write("the streams of the event log are there\n")


if __name__ == "__main__":
    main()
