"""Which failures pass by themselves, and how long to wait before the next try."""

from __future__ import annotations

from vbatch.chassis.blobs import BlobTrouble
from vbatch.journal.port import Full, Unavailable
from vbatch.results.ports import Trouble

PASSING = (Trouble, Unavailable, Full, BlobTrouble)
"""Room can be made, and a missing blob put back; until then readers go on and `/ready` names the reason."""

FIRST_SECONDS = 0.2
ASK_SECONDS_MAX = 1.0
"""Between questions to a database that is away: they cost nothing, and the rest of a pause is lost once it is back."""
WORK_SECONDS_MAX = 10.0
"""Between tries that did their work for nothing, as on a full disk."""


class Backoff:
    """Doubles from FIRST_SECONDS to `seconds_max` until something went well."""

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._next = FIRST_SECONDS

    def seconds(self) -> float:
        seconds, self._next = self._next, min(2 * self._next, self._seconds_max)
        return seconds

    def reset(self) -> None:
        self._next = FIRST_SECONDS
