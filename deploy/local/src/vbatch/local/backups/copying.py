"""Copies bytes into a backup: existing files stay, and new ones are written, read back and compared."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

from vbatch.chassis.blobs import BlobMissing, Blobs
from vbatch.local.backups.manifest import BackupTrouble, OnProgress, Progress, SavedFile

PIECE_BYTES = 4 << 20


class Copier:
    """`known` are the files of the previous backup, which was checked when it was made: they are not read again."""

    def __init__(self, target: Blobs, known: Mapping[str, SavedFile], on_progress: OnProgress) -> None:
        self._target = target
        self._known = known
        self._on_progress = on_progress
        self._done = self._total = self._copied = 0
        self.files: dict[str, SavedFile] = {}

    def expect(self, size: int) -> None:
        """Announce that more bytes will come."""
        self._total += size

    async def keep(self, name: str, pieces: AsyncIterator[bytes], size: int) -> None:
        """Make sure that this file is in the backup. Raises BackupTrouble, BlobTrouble, and BlobMissing if the source
        is gone."""
        there = await _size(self._target, name)
        known = self._known.get(name)
        if known is not None and known.bytes == size == there:
            self.files[name] = known
            self._advance(name, size)
            return
        await self.write(name, pieces)

    async def write(self, name: str, pieces: AsyncIterator[bytes]) -> SavedFile:
        """Write the file and read it back. Raises BackupTrouble when the two differ."""
        written = _Digest()
        async with self._target.writer(name) as writer:
            async for piece in pieces:
                await asyncio.to_thread(written.add, piece)
                await writer.write(piece)
                self._copied += len(piece)
                self._advance(name, len(piece))
        file = SavedFile(name, written.size, written.hexdigest())
        await must_hold(self._target, file)
        self.files[name] = file
        return file

    def _advance(self, name: str, size: int) -> None:
        self._done += size
        self._on_progress(Progress(name, self._done, max(self._done, self._total), self._copied))


class _Digest:
    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0

    def add(self, piece: bytes) -> None:
        self._sha256.update(piece)
        self.size += len(piece)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


async def must_hold(store: Blobs, file: SavedFile) -> None:
    """Read a file of a backup. Raises BackupTrouble if it is not what the manifest says."""
    async for _ in checked_pieces(store, file):
        pass


async def checked_pieces(store: Blobs, file: SavedFile) -> AsyncIterator[bytes]:
    """Yield the bytes of a file of a backup. Raises BackupTrouble at their end if they are not what the manifest
    says."""
    digest = _Digest()
    try:
        async for piece in store.read_stream(file.name, chunk_bytes=PIECE_BYTES):
            await asyncio.to_thread(digest.add, piece)
            yield piece
    except BlobMissing as error:
        raise BackupTrouble(f"{file.name} is missing in the backup") from error
    if (digest.size, digest.hexdigest()) != (file.bytes, file.sha256):
        raise BackupTrouble(f"{file.name} is damaged: it has {digest.size} bytes or another digest")


async def _size(store: Blobs, name: str) -> int | None:
    try:
        return await store.size(name)
    except BlobMissing:
        return None
