"""Compares what is served with what was rebuilt from the log to the same event: rows, growing JSONL, sealed files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from itertools import zip_longest

from vbatch.chassis.blobs import BlobMissing, Blobs
from vbatch.contracts.ids import BatchId, OutputKind, output_file_id
from vbatch.results.core import sealing as rules
from vbatch.results.core.comparing import differing_line
from vbatch.results.core.sealing import SealRefused
from vbatch.results.flows.sealed_pages import KINDS, SealedPages
from vbatch.results.ports import Difference, PartialFiles, ReadModel, Sealable, Snapshot, StoredFile

BATCHES_AT_ONCE = 100
INPUT_IS_GONE = "cannot be made again: its input file is gone"


class Verifier:
    """`unverified` names what could not be compared, and why; that is not a difference."""

    def __init__(
        self,
        rebuilt: ReadModel,
        *,
        served_files: PartialFiles,
        rebuilt_files: PartialFiles,
        blobs: Blobs,
        now: Callable[[], datetime],
    ) -> None:
        self._rebuilt = rebuilt
        self._served_files = served_files
        self._rebuilt_files = rebuilt_files
        self._blobs = blobs
        self._now = now
        self._pages = SealedPages(rebuilt, rebuilt_files, blobs)
        self.unverified: list[str] = []

    async def differences(self, snapshot: Snapshot, schema: str) -> AsyncIterator[Difference]:
        """The rows that differ, then the differences in the sealed files."""
        async for difference in snapshot.differences(schema):
            yield difference
        async for sealable in self._ended():
            async for difference in self._sealed_differences(sealable):
                yield difference

    async def partial_differences(self, lengths: dict[BatchId, int]) -> AsyncIterator[Difference]:
        """The differences in the growing JSONL of these batches, up to the bytes that count."""
        for batch_id, length in lengths.items():
            line = await asyncio.to_thread(self._differing_line, batch_id, length)
            if line is not None:
                yield Difference(f"growing JSONL of {batch_id}, line {line}", "differs")

    async def _ended(self) -> AsyncIterator[Sealable]:
        after = 0
        while page := await self._rebuilt.ended(after, BATCHES_AT_ONCE):
            for sealable in page:
                yield sealable
            after = page[-1].row.sequence

    def _differing_line(self, batch_id: BatchId, length: int) -> int | None:
        rebuilt, served = self._rebuilt_files.blocks(batch_id, length), self._served_files.blocks(batch_id, length)
        return _first_difference(rebuilt, served)

    async def _sealed_differences(self, sealable: Sealable) -> AsyncIterator[Difference]:
        batch_id = BatchId(sealable.row.id)
        stored = {file.id: file for file in await self._rebuilt.sealed_files(batch_id, self._now())}
        files = {kind: stored.get(output_file_id(batch_id, kind)) for kind in KINDS}
        if {sealable.row.output_file_id, sealable.row.error_file_id} - {None} <= stored.keys():
            # Otherwise its answers were deleted together with the growing JSONL.
            async for difference in self.partial_differences({batch_id: sealable.row.partial_bytes}):
                yield difference
        try:
            for difference in await self._against_blobs(sealable, files):
                yield difference
        except SealRefused as error:
            yield Difference(f"sealed files of {batch_id}", f"cannot be made again: {error}")

    async def _against_blobs(self, sealable: Sealable, files: dict[OutputKind, StoredFile | None]) -> list[Difference]:
        if not any(files.values()) or not await self._has_input(sealable):
            return []
        checks = {kind: _Check(self._blobs, file) for kind, file in files.items() if file is not None}
        async for page in self._pages.of(sealable):
            if page.kind in checks:
                await checks[page.kind].feed(page.content)
        return [found for check in checks.values() if (found := check.verdict()) is not None]

    async def _has_input(self, sealable: Sealable) -> bool:
        if rules.never_ran_fault(sealable.row) is None:
            return True
        if sealable.input_blob is not None and await self._blobs.exists(sealable.input_blob):
            return True
        self.unverified.append(f"sealed files of {sealable.row.id}: {INPUT_IS_GONE}")
        return False


class _Check:
    """Compares the bytes that a sealed file must have with the bytes in the blob store."""

    def __init__(self, blobs: Blobs, file: StoredFile) -> None:
        self._blobs = blobs
        self._file = file
        self._size = 0
        self._lines = 0
        self._found: str | None = None

    async def feed(self, content: bytes) -> None:
        if self._found is None:
            stored = await self._stored(self._size, self._size + len(content))
            line = None if stored is None else differing_line(content, stored, self._lines)
            if stored is None:
                self._found = "its bytes are gone"
            elif line is not None:
                self._found = f"line {line} differs"
        self._size += len(content)
        self._lines += content.count(b"\n")

    def verdict(self) -> Difference | None:
        if self._found is None and self._size != self._file.bytes:
            self._found = f"has {self._file.bytes} bytes where the log gives {self._size}"
        return Difference(f"file {self._file.id} ({self._file.blob})", self._found) if self._found else None

    async def _stored(self, start: int, end: int) -> bytes | None:
        try:
            return b"".join([block async for block in self._blobs.read_stream(self._file.blob, start, end)])
        except BlobMissing:
            return None


def _first_difference(rebuilt: Iterator[bytes], served: Iterator[bytes]) -> int | None:
    lines = 0
    for expected, found in zip_longest(rebuilt, served, fillvalue=b""):
        line = differing_line(expected, found, lines)
        if line is not None:
            return line
        lines += expected.count(b"\n")
    return None
