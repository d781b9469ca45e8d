"""Scans stored lines for words, a block at a time in a thread, and remembers the results of the last searches."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator

from vbatch.chassis.blobs import Blobs
from vbatch.gateway.core.text_search import SEARCHED_BYTES_MAX, Found, Scan, SearchParams, Words

BLOCK_BYTES = 1 << 20
SEARCHES_MAX = 2
"""The most searches at once; further searches wait for their turn."""
REMEMBERED_MAX = 16
"""The results of this many searches are kept, at most 160 kB each, so that the next page needs no new search."""


class TextSearch:
    """Implements ports.TextSearch."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(SEARCHES_MAX)
        self._remembered: OrderedDict[tuple[str, int, SearchParams], Found] = OrderedDict()

    async def find(self, blobs: Blobs, name: str, size: int, params: SearchParams) -> Found:
        key = (name, size, params)
        async with self._turn:
            found = self._remembered.get(key) or await _scanned(blobs, name, size, params)
        self._remembered[key] = found
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return found


async def _scanned(blobs: Blobs, name: str, size: int, params: SearchParams) -> Found:
    scan = Scan(Words(params.words), params.side, params.place)
    async for block in _whole_lines(blobs, name, params.place.start, size):
        await asyncio.to_thread(scan.over, block)
        if scan.is_full or scan.place.start - params.place.start >= SEARCHED_BYTES_MAX:
            break
    is_at_end = scan.place.start >= size
    return Found(tuple(scan.hits), min(scan.place.start, size), size, None if is_at_end else scan.place)


async def _whole_lines(blobs: Blobs, name: str, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield blocks that end with a line; a line longer than a block makes a longer block."""
    if start >= end:
        return
    kept = b""
    async for block in blobs.read_stream(name, start, end, BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if not cut:
            kept += block
            continue
        yield kept + block[:cut]
        kept = bytes(block[cut:])
    if kept:
        yield kept
