"""The base of a service of which only one process may write: lease, fence, caught-up gate, guarded appends.

`writer` holds the lease, `position` says how far the log is folded, `folding` reads, `deciding` acts.
"""

from vbatch.journal.single_writer.deciding import Decider as Decider, Deciding as Deciding, run as run
from vbatch.journal.single_writer.folding import Folding as Folding
from vbatch.journal.single_writer.freshness import FRESH_SECONDS as FRESH_SECONDS, LeaseFreshness as LeaseFreshness
from vbatch.journal.single_writer.position import Position as Position
from vbatch.journal.single_writer.standby import (
    Heartbeats as Heartbeats,
    keep_beating as keep_beating,
    until_silent as until_silent,
)
from vbatch.journal.single_writer.writer import SingleWriter as SingleWriter
