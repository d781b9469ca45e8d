"""Blobs in an object store, through obstore, which retries by itself. Multipart uploads make each write complete or
absent."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore import exceptions
from obstore.store import from_url

from vbatch.chassis.blobs.port import (
    CHUNK_BYTES,
    BlobMissing,
    Blobs,
    BlobTrouble,
    BlobWriter,
    Range,
    beyond_end,
    checked,
)

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ObjectStore

PART_BYTES = 8 * 1024 * 1024
PARTS_IN_FLIGHT_MAX = 4
FOR_GOOD = (
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.NotSupportedError,
    exceptions.InvalidPathError,
)


class RemoteBlobs(Blobs):
    """The store behind an obstore URL; credentials come from the environment, named as the vendor's tools name them."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store

    @classmethod
    def from_url(cls, url: str) -> "RemoteBlobs":
        """Raises BlobTrouble for a URL that names no store."""
        try:
            return cls(from_url(url))
        except (exceptions.BaseError, ValueError) as error:
            raise BlobTrouble(f"no blob store: {_first_line(error)}", can_retry=False) from error

    @asynccontextmanager
    async def writer(self, name: str) -> AsyncIterator[BlobWriter]:
        upload = obstore.open_writer_async(
            self._store, checked(name), buffer_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT_MAX
        )
        yield _Upload(upload, name)
        # Reached only when the block ended without an error: an upload that is never closed is never visible.
        with _named_trouble(name):
            await upload.close()

    async def read_stream(
        self, name: str, start: int = 0, end: int | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        end = min(end, await self.size(name)) if end is not None else await self.size(name)
        while start < end:
            length = min(chunk_bytes, end - start)
            yield await self.read_range(name, start, length)
            start += length

    async def read_ranges(self, name: str, ranges: Sequence[Range]) -> list[bytes]:
        if not ranges:
            return []
        offsets, lengths = zip(*ranges, strict=True)
        size = await self.size(name)
        for offset, length in ranges:
            if offset + length > size:
                raise beyond_end(name, offset, length)
        with _named_trouble(name):
            found = await obstore.get_ranges_async(self._store, checked(name), starts=offsets, lengths=lengths)
        return [bytes(content) for content in found]

    async def size(self, name: str) -> int:
        with _named_trouble(name):
            return (await obstore.head_async(self._store, checked(name)))["size"]

    async def older_than(self, seconds: float, folder: str, *, is_deep: bool = False) -> list[str]:
        oldest = datetime.now(UTC) - timedelta(seconds=seconds)
        found: list[str] = []
        with _named_trouble(folder):
            async for batch in obstore.list(self._store, checked(folder) + "/"):
                found += [item["path"] for item in batch if item["last_modified"] < oldest]
        return [name for name in sorted(found) if is_deep or name.count("/") == folder.count("/") + 1]

    async def delete(self, name: str) -> None:
        try:
            with _named_trouble(name):
                await obstore.delete_async(self._store, checked(name))
        except BlobMissing:
            return


class _Upload:
    def __init__(self, upload: "AsyncWritableFile", name: str) -> None:
        self._upload, self._name = upload, name
        self._size = 0

    @property
    def size(self) -> int:
        return self._size

    async def write(self, piece: bytes) -> None:
        with _named_trouble(self._name):
            await self._upload.write(piece)
        self._size += len(piece)


@contextmanager
def _named_trouble(name: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, exceptions.NotFoundError) as error:
        raise BlobMissing(name) from error
    except (exceptions.BaseError, OSError) as error:
        can_retry = not isinstance(error, FOR_GOOD)
        raise BlobTrouble(f"blob {name}: {_first_line(error)}", can_retry=can_retry) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
