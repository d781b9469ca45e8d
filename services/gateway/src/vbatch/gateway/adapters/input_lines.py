"""Single lines of input files by their number, without an index on disk: the newlines of each mebibyte are counted
once, and kept for the files that were looked into last."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable

from vbatch.chassis.blobs import Blobs

BLOCK_BYTES = 1 << 20
FILES_MAX = 64
"""Files whose counts are kept: eight bytes for each mebibyte of them."""


class InputLines:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._counted: dict[str, list[int]] = {}
        self._counting = asyncio.Lock()

    async def read(self, blob: str, size: int, lines: Iterable[int], bytes_max: int) -> dict[int, bytes]:
        """These lines, 1-based and as written, each cut at `bytes_max`. Raises BlobMissing, BlobTrouble."""
        counts = await self._counts(blob)
        blocks: dict[int, bytes] = {}
        found: dict[int, bytes] = {}
        for line in sorted(lines):
            start = 0 if line == 1 else await self._newline(blob, size, line - 1, counts, blocks)
            if start is None or start >= size:
                break
            end = await self._newline(blob, size, line, counts, blocks)
            length = (end - 1 if end is not None else size) - start
            found[line] = await self._blobs.read_range(blob, start, min(length, bytes_max)) if length > 0 else b""
        return found

    async def _counts(self, blob: str) -> list[int]:
        """The number of newlines before each block, and of all of them."""
        async with self._counting:
            counts = self._counted.get(blob)
            if counts is None:
                counts = [0]
                async for block in self._blobs.read_stream(blob, chunk_bytes=BLOCK_BYTES):
                    counts.append(counts[-1] + bytes(block).count(b"\n"))
                    await asyncio.sleep(0)
                if len(self._counted) >= FILES_MAX:
                    self._counted.pop(next(iter(self._counted)))
                self._counted[blob] = counts
            return counts

    async def _newline(
        self, blob: str, size: int, number: int, counts: list[int], blocks: dict[int, bytes]
    ) -> int | None:
        """Where the byte behind the newline of this number stands; None when the file has fewer."""
        if number > counts[-1]:
            return None
        index = bisect_left(counts, number) - 1
        block = await self._block(blob, size, index, blocks)
        place = -1
        for _ in range(number - counts[index]):
            place = block.index(b"\n", place + 1)
        return index * BLOCK_BYTES + place + 1

    async def _block(self, blob: str, size: int, index: int, blocks: dict[int, bytes]) -> bytes:
        if index not in blocks:
            blocks.clear()  # lines are read in order: those before are not needed again
            start = index * BLOCK_BYTES
            blocks[index] = await self._blobs.read_range(blob, start, min(BLOCK_BYTES, size - start))
        return blocks[index]
