"""Which failures pass by themselves, and how long to wait before the next try."""

from __future__ import annotations

from vbatch.chassis.blobs import BlobTrouble
from vbatch.journal.port import Full, Unavailable
from vbatch.results.ports import Trouble

PASSING = (Trouble, Unavailable, Full, BlobTrouble)
"""Someone can make room or put back a missing blob; until then, readers keep running and `/ready` names the reason."""

FIRST_SECONDS = 0.2
ASK_SECONDS_MAX = 1.0
"""The longest pause between requests to an unreachable database: they are cheap, and waiting longer wastes time."""
WORK_SECONDS_MAX = 10.0
"""The longest pause between tries whose work was in vain, as on a full disk."""
