"""Which ended batches wait for their archive, what an archive is called, and when it is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded

ARCHIVES = "archives"
"""The folder of all archives in their blob store."""
EARLY_FILL = 0.5
"""The log is this full: archives are made without waiting, because a full log refuses work."""
ENDS = ("completed", "cancelled", "expired")


class ArchiveNotWhole(Exception):
    """What was read back is not what the log holds, so the log keeps everything; the text says what differs."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive as it was written or read back; `last_chunk` is 0 when it has no chunk."""

    bytes: int
    sha256: str
    first_sequence: int
    last_sequence: int
    event_count: int
    outcome_count: int
    last_chunk: int


@dataclass
class ArchiveQueue:
    """Folds ends and archives; each batch is archived once, in the order of their ends."""

    sequence: int = 0
    _ended: dict[BatchId, datetime] = field(default_factory=dict)
    _archived: set[BatchId] = field(default_factory=set)
    _unpurged: dict[BatchId, int] = field(default_factory=dict)

    def fold(self, record: Recorded, event: e.BatchArchived | None) -> None:
        """`event` is the archive that the record tells of; None for the end of a batch."""
        self.sequence = record.sequence
        batch_id = BatchId(record.subject.split(".")[2])
        if event is not None:
            self._archived.add(batch_id)
            self._ended.pop(batch_id, None)
            self._unpurged[batch_id] = event.last_sequence
        elif batch_id not in self._archived:
            self._ended.setdefault(batch_id, record.recorded_at)

    def due(self, now: datetime, grace: timedelta) -> list[BatchId]:
        """The batches that ended at least `grace` ago."""
        return [batch_id for batch_id, ended_at in self._ended.items() if ended_at + grace <= now]

    def unpurged(self) -> list[tuple[BatchId, int]]:
        """Archived batches whose chunks may still be in the log, with the last sequence of the archive."""
        return list(self._unpurged.items())

    def purged(self, batch_id: BatchId) -> None:
        self._unpurged.pop(batch_id, None)


def archive_blob(batch_id: BatchId, erased: Sequence[str] = ()) -> str:
    """An archive without some answers has a name of its own: it never replaces the bytes that a reader holds open."""
    return f"{ARCHIVES}/{'_'.join((batch_id, *erased))}.jsonl.zst"


def archived(batch_id: BatchId, blob: str, archive: Archive, *, now: datetime) -> e.BatchArchived:
    return e.BatchArchived(
        batch_id=batch_id,
        blob=blob,
        bytes=archive.bytes,
        sha256=archive.sha256,
        first_sequence=archive.first_sequence,
        last_sequence=archive.last_sequence,
        event_count=archive.event_count,
        outcome_count=archive.outcome_count,
        at=now,
    )


def must_be_whole(written: Archive, read_back: Archive, *, first: int, last: int, last_chunk: int) -> None:
    """Check an archive against the log: it begins and ends where the batch does, and has its last chunk.

    Raises ArchiveNotWhole.
    """
    if read_back != written:
        raise ArchiveNotWhole(f"it was written as {written} and is read back as {read_back}")
    if (written.first_sequence, written.last_sequence) != (first, last):
        raise ArchiveNotWhole(f"it holds {written.first_sequence} to {written.last_sequence} of {first} to {last}")
    if written.last_chunk < last_chunk:
        raise ArchiveNotWhole(f"its last chunk is {written.last_chunk}, the log's is {last_chunk}")


def grace_of(configured_seconds: float, fill: float) -> timedelta:
    """How long to wait after the end of a batch, with the log full to this fraction."""
    return timedelta(seconds=0 if fill >= EARLY_FILL else configured_seconds)
