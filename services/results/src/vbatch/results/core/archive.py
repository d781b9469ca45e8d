"""Which ended batches wait for their archive, what an archive is called, and when it is whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded

ARCHIVES = "archives"
"""The folder of all archives in their blob store."""
EARLY_FILL = 0.5
"""When the log is this full, archives are made without waiting, because a full log refuses work."""
EARLY_DISK_FILL = 0.8
"""When this share of the home folder's allowance is used, archives are also made without waiting, because they take a
tenth of the space in the log."""
LATE_CHUNK_WINDOW = timedelta(hours=1)
"""A runner that was unreachable may record a chunk of an ended batch up to this long after its end, but not later."""
ENDS = ("completed", "cancelled", "expired")
_NAME = re.compile(ARCHIVES + r"/(?P<batch_id>.+?)(?:_(?P<last>\d+))?(?P<erased>(?:_(?:error|output))*)\.jsonl\.zst")


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


class Content(NamedTuple):
    """What an archive of a batch holds: its events up to one sequence, without the answers of the erased files."""

    last_sequence: int
    erased: frozenset[str]

    def is_older_than(self, other: Content) -> bool:
        """Later archives of a batch end later in the log, or lack more answers."""
        is_as_long = self.last_sequence == other.last_sequence
        return self.last_sequence < other.last_sequence or (is_as_long and self.erased < other.erased)


@dataclass
class ArchiveQueue:
    """Folds ends and archives: which batches wait for one, and which archives leave something to remove."""

    sequence: int = 0
    _ended: dict[BatchId, datetime] = field(default_factory=dict)
    _archived: dict[BatchId, Content] = field(default_factory=dict)
    _unsettled: dict[BatchId, e.BatchArchived] = field(default_factory=dict)
    _late: set[BatchId] = field(default_factory=set)

    def fold(self, record: Recorded, event: e.BatchArchived | None) -> None:
        """Fold one record. `event` is the archive that the record announces; None for the end of a batch."""
        self.sequence = record.sequence
        batch_id = BatchId(record.subject.split(".")[2])
        if event is not None:
            self._ended.pop(batch_id, None)
            self._archived[batch_id] = Content(event.last_sequence, frozenset(event.erased))
            self._unsettled[batch_id] = event
            self._late.discard(batch_id)
        elif batch_id not in self._archived:
            self._ended.setdefault(batch_id, record.recorded_at)

    def due(self, now: datetime, grace: timedelta) -> list[BatchId]:
        """The batches that ended at least `grace` ago, in the order of their ends."""
        return [batch_id for batch_id, ended_at in self._ended.items() if ended_at + grace <= now]

    def to_erase(self, gone: Mapping[BatchId, Set[str]]) -> list[BatchId]:
        """The batches whose log or archive still has answers of these files that are gone."""
        return [
            batch_id for batch_id, kinds in gone.items() if self._is_known(batch_id) and self._holds(batch_id, kinds)
        ]

    def erased(self, batch_id: BatchId) -> frozenset[str]:
        """The files whose answers its archive no longer has."""
        return self._archived[batch_id].erased if batch_id in self._archived else frozenset()

    def unsettled(self) -> list[e.BatchArchived]:
        """The archives beside which chunks of the same batch may still be in the log."""
        return list(self._unsettled.values())

    def settled(self, event: e.BatchArchived, now: datetime, *, has_late_chunks: bool) -> None:
        """Note that what the archive holds has left the log. An archive without some answers is checked again while
        late chunks arrive."""
        if event.erased and has_late_chunks:
            self._late.add(event.batch_id)
        is_over = not event.erased or now > event.at + LATE_CHUNK_WINDOW
        if is_over and self._unsettled.get(event.batch_id) == event:
            del self._unsettled[event.batch_id]

    def superseded(self, blobs: Iterable[str]) -> list[str]:
        """The archives for which the log names a newer one of the same batch."""
        return [blob for blob in blobs if self._is_superseded(blob)]

    def _is_superseded(self, blob: str) -> bool:
        if (match := _NAME.fullmatch(blob)) is None:
            return False
        current = self._archived.get(BatchId(match["batch_id"]))
        content = Content(int(match["last"] or 0), frozenset(match["erased"].split("_")) - {""})
        return current is not None and content.is_older_than(current)

    def _is_known(self, batch_id: BatchId) -> bool:
        return batch_id in self._ended or batch_id in self._archived

    def _holds(self, batch_id: BatchId, kinds: Set[str]) -> bool:
        return batch_id in self._late or not kinds <= self.erased(batch_id)


def archive_blob(batch_id: BatchId, last_sequence: int, erased: Iterable[str] = ()) -> str:
    """The name of an archive. It identifies what the archive holds, so equal names mean equal bytes: a process that was
    considered dead and writes late replaces nothing, and no reader loses bytes that it is reading."""
    return f"{ARCHIVES}/{'_'.join((batch_id, str(last_sequence), *sorted(erased)))}.jsonl.zst"


def archived(batch_id: BatchId, archive: Archive, erased: Iterable[str], *, now: datetime) -> e.BatchArchived:
    return e.BatchArchived(
        batch_id=batch_id,
        blob=archive_blob(batch_id, archive.last_sequence, erased),
        bytes=archive.bytes,
        sha256=archive.sha256,
        first_sequence=archive.first_sequence,
        last_sequence=archive.last_sequence,
        event_count=archive.event_count,
        outcome_count=archive.outcome_count,
        erased=tuple(sorted(erased)),
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


def grace_of(configured_seconds: float, log_fill: float, disk_fill: float) -> timedelta:
    """How long to wait after the end of a batch, given the used shares of the log and of the disk allowance."""
    is_early = log_fill >= EARLY_FILL or disk_fill >= EARLY_DISK_FILL
    return timedelta(seconds=0 if is_early else configured_seconds)
