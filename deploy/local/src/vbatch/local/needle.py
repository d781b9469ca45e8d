"""Looks for a text in everything that a stack keeps: each file of its home, unpacked archives, and the log as it is
read.

It is the check of an erasure, so it trusts no program: files are read as they are on the disk, including deleted
remains inside the log's blocks. A file that grows or disappears meanwhile is read as far as it exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vbatch.journal.archive import ArchiveDamaged, ArchiveDecoder
from vbatch.journal.port import Log

PIECE_BYTES = 4 << 20
NEEDLE_BYTES_MIN, NEEDLE_BYTES_MAX = 4, 4096
ARCHIVE_SUFFIX = ".jsonl.zst"


class Found(NamedTuple):
    """A place that holds the text, and the number of occurrences."""

    place: str
    occurrences: int


def in_files(home: Path, needle: bytes) -> Iterator[Found]:
    """Yield the files below the home that hold the text in their bytes on the disk; archives also unpacked."""
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_symlink():
            place = str(path.relative_to(home))
            if count := _count(_pieces(path), needle):
                yield Found(place, count)
            if path.name.endswith(ARCHIVE_SUFFIX) and (count := _count(_unpacked(path), needle)):
                yield Found(f"{place} (unpacked)", count)


async def in_log(log: Log, needle: bytes) -> Found | None:
    """Return how many events hold the text, as a reader of the log gets them."""
    head, count = await log.last_sequence(), 0
    if head == 0:
        return None
    async with log.tail(0) as arrivals:
        async for records in arrivals:
            count += sum(needle in record.body for record in records)
            if records[-1].sequence >= head:
                break
    return Found("the log, as it is read", count) if count else None


def _count(pieces: Iterator[bytes], needle: bytes) -> int:
    count, rest = 0, b""
    for piece in pieces:
        content = rest + piece
        count += content.count(needle)
        rest = content[max(0, len(content) - len(needle) + 1) :]
    return count


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
    except FileNotFoundError:
        return


def _unpacked(path: Path) -> Iterator[bytes]:
    decoder = ArchiveDecoder()
    try:
        for piece in _pieces(path):
            yield from (record.body for record in decoder.feed(piece))
    except ArchiveDamaged:
        return  # a file that is not an archive was already read as plain bytes
