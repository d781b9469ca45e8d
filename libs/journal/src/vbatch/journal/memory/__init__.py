"""The journal in one process, with the same guarantees: for unit tests and for simulation.

It keeps nothing on disk, never waits for a wall clock or for room, and does not model an acknowledgement wait that
expires: a worker's deliveries are returned when it leaves its `take`. The contract suite runs on it and on a NATS
server.
"""

from vbatch.journal.memory.journal import MemoryJournal
from vbatch.journal.memory.stream import MemoryStream
from vbatch.journal.memory.work_queue import MemoryWorkQueue

__all__ = ["MemoryJournal", "MemoryStream", "MemoryWorkQueue"]
