"""A backup of the simulated machine, taken while everything fails, and the machine that it becomes elsewhere.

The order is that of the product: blobs, then the log at one sequence, then the blobs that came meanwhile; and all of it
again when an archive that the log names was replaced on the way. PostgreSQL, growing files and orders are not in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tests.simulation.archives import newest_archives
from tests.simulation.processes import Machine
from tests.simulation.stores import BlobStore
from vbatch.contracts.message import MESSAGE_ID_HEADER, Message, Recorded
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings


@dataclass(frozen=True)
class Backup:
    """`left` are the sequences of the events that only archives hold."""

    records: list[Recorded]
    left: frozenset[int]
    blobs: BlobStore

    def restored(self, settings: JournalSettings, now: Callable[[], datetime]) -> MemoryJournal:
        """A log with every event at its sequence and time; from then on it is `now`."""
        clock = now
        journal = MemoryJournal(settings, lambda: clock())
        stream = journal._log_stream  # the simulation stands behind the store
        for record in self.records:
            clock = _at(record.recorded_at)
            stored = stream.append(Message(record.subject, record.body, record.message_id, _own_headers(record)))
            assert stored == record.sequence
            if record.sequence in self.left:
                stream.purge(record.subject, record.sequence)
        clock = now
        return journal


async def back_up(machine: Machine) -> Backup:
    while True:
        copied = await _copied(machine, {})
        stream = machine.journal._log_stream
        records, left = list(stream.records), frozenset(stream._purged)
        copied = await _copied(machine, copied)
        if all(event.blob in copied for event in newest_archives(records).values()):
            return Backup(records, left, copied)


async def _copied(machine: Machine, known: BlobStore) -> BlobStore:
    copied = dict(known)
    for name in sorted(machine.blobs.keys() - known.keys()):
        await asyncio.sleep(machine.weather.random.random() * machine.weather.seconds)
        if name in machine.blobs:
            copied[name] = machine.blobs[name]
    return copied


def _at(time: datetime) -> Callable[[], datetime]:
    return lambda: time


def _own_headers(record: Recorded) -> dict[str, str]:
    """Without the one that the log adds."""
    return {name: value for name, value in record.headers.items() if name != MESSAGE_ID_HEADER}
