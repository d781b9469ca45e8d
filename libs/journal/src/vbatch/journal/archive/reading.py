"""Reads an archive record by record, with bounded memory and without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from vbatch.contracts.message import Recorded
from vbatch.journal.archive.format import ArchiveDecoder


async def read_archive(
    pieces: AsyncIterator[bytes], decoder: ArchiveDecoder | None = None
) -> AsyncGenerator[list[Recorded], None]:
    """Yield the records of an archive in order, in lists that are never empty. Raises ArchiveDamaged.

    If a decoder is given, it has the head from the first list on, and the totals at the end.
    """
    decoder = decoder or ArchiveDecoder()
    async for piece in pieces:
        if records := await asyncio.to_thread(decoder.feed, piece):
            yield records
    decoder.end()
