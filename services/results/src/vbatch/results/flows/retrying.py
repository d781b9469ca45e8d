"""Which failures pass by themselves, and how long to wait before the next try."""

from __future__ import annotations

from vbatch.chassis.blobs import BlobTrouble
from vbatch.journal.port import Full, Unavailable
from vbatch.results.ports import Trouble

PASSING = (Trouble, Unavailable, Full, BlobTrouble)
"""Room can be made, and a missing blob put back; until then readers go on and `/ready` names the reason."""

FIRST_SECONDS = 0.2
SECONDS_MAX = 10.0


class Backoff:
    """Doubles from FIRST_SECONDS to SECONDS_MAX until something went well."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def seconds(self) -> float:
        seconds, self._next = self._next, min(2 * self._next, SECONDS_MAX)
        return seconds

    def reset(self) -> None:
        self._next = FIRST_SECONDS
