"""Single lines of input files by their number, without an index on disk: the newlines of each mebibyte are counted
once, and the counts are kept for the files that were read last."""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from vbatch.chassis.blobs import Blobs

BLOCK_BYTES = 1 << 20
FILES_MAX = 64
"""How many files' counts are kept; a file takes eight bytes for each mebibyte."""
NEWLINE = re.compile(rb"\n")


@dataclass(frozen=True)
class Block:
    """A mebibyte of a file, from byte `start` on."""

    start: int
    content: bytes

    @cached_property
    def behind_newlines(self) -> list[int]:
        """Return where in the file each line begins that follows a newline in this block."""
        return [self.start + match.end() for match in NEWLINE.finditer(self.content)]

    def part(self, start: int, length: int) -> bytes | None:
        """Return the bytes; None if they are not all in this block."""
        place = start - self.start
        is_inside = place >= 0 and place + length <= len(self.content)
        return self.content[place : place + length] if is_inside else None


class InputLines:
    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._counted: dict[str, list[int]] = {}
        self._counting = asyncio.Lock()

    async def read(self, blob: str, size: int, lines: Iterable[int], bytes_max: int) -> dict[int, bytes]:
        """Return these lines, 1-based and as written, each cut at `bytes_max`. Raises BlobMissing, BlobTrouble."""
        counts = await self._counts(blob)
        blocks: dict[int, Block] = {}
        found: dict[int, bytes] = {}
        for line in sorted(lines):
            start = 0 if line == 1 else await self._newline(blob, size, line - 1, counts, blocks)
            if start is None or start >= size:
                break
            end = await self._newline(blob, size, line, counts, blocks)
            length = (end - 1 if end is not None else size) - start
            found[line] = await self._part(blob, start, min(length, bytes_max), blocks) if length > 0 else b""
        return found

    async def _part(self, blob: str, start: int, length: int, blocks: dict[int, Block]) -> bytes:
        for block in blocks.values():
            if (part := block.part(start, length)) is not None:
                return part
        return await self._blobs.read_range(blob, start, length)

    async def _counts(self, blob: str) -> list[int]:
        """Return the number of newlines before each block, followed by the number in the whole file."""
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
        self, blob: str, size: int, number: int, counts: list[int], blocks: dict[int, Block]
    ) -> int | None:
        """Return the position of the byte after the newline with this number; None if the file has fewer."""
        if number > counts[-1]:
            return None
        index = bisect_left(counts, number) - 1
        block = await self._block(blob, size, index, blocks)
        return block.behind_newlines[number - counts[index] - 1]

    async def _block(self, blob: str, size: int, index: int, blocks: dict[int, Block]) -> Block:
        if index not in blocks:
            blocks.clear()  # lines are read in order: earlier blocks are not needed again
            start = index * BLOCK_BYTES
            content = await self._blobs.read_range(blob, start, min(BLOCK_BYTES, size - start))
            blocks[index] = Block(start, bytes(content))
        return blocks[index]
