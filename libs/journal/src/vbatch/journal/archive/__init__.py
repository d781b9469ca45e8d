"""The log beyond the stream: archives of batches that have ended, and one history of both, ordered by sequence."""

from vbatch.journal.archive.format import (
    ArchiveDamaged,
    ArchiveDecoder,
    ArchiveEncoder,
    ArchiveHead,
    ArchiveTotals,
)
from vbatch.journal.archive.history import ArchiveBlobs, HistoricLog
from vbatch.journal.archive.journal import HistoricJournal
from vbatch.journal.archive.reading import read_archive

__all__ = [
    "ArchiveBlobs",
    "ArchiveDamaged",
    "ArchiveDecoder",
    "ArchiveEncoder",
    "ArchiveHead",
    "ArchiveTotals",
    "HistoricJournal",
    "HistoricLog",
    "read_archive",
]
