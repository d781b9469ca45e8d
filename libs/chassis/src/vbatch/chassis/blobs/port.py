"""The interface of a blob store, its names and its errors. The stores are in the other modules of this package."""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

CHUNK_BYTES = 1024 * 1024
NAME_BYTES_MAX = 512
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")

Range = tuple[int, int]
"""Offset and length in bytes."""


class BlobTrouble(Exception):
    """The store failed. `can_retry` says whether the same call may succeed later."""

    def __init__(self, text: str, *, can_retry: bool) -> None:
        super().__init__(text)
        self.can_retry = can_retry


class BlobMissing(BlobTrouble):
    """No blob has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no blob {name}", can_retry=False)


class BlobStoreFull(BlobTrouble):
    """The store has no room. Nothing was written under the name."""

    def __init__(self, where: str) -> None:
        super().__init__(f"no space is left for blobs in {where}", can_retry=True)


class BadBlobName(ValueError):
    """No store accepts this name. Names come from code, so this is a bug."""


class BlobWriter(Protocol):
    """One blob being written. It appears under its name when the block ends without an error."""

    @property
    def size(self) -> int:
        """The number of bytes taken so far."""
        ...

    async def write(self, piece: bytes) -> None:
        """Take `piece`; wait if the store is slower than the caller. Raises BlobStoreFull, BlobTrouble."""
        ...


class Blobs(ABC):
    """Blobs by name. A write is complete and durable, or it did not happen. Writing a name again replaces its blob.

    Every method raises BlobTrouble, and the readers raise BlobMissing.
    """

    @abstractmethod
    def writer(self, name: str) -> AbstractAsyncContextManager[BlobWriter]:
        """Write a blob in pieces with bounded memory. It exists and is durable once the block ends without an error."""

    @abstractmethod
    def read_stream(
        self, name: str, start: int = 0, end: int | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to but not including `end`, in chunks of at most `chunk_bytes`."""

    @abstractmethod
    async def read_ranges(self, name: str, ranges: Sequence[Range]) -> list[bytes]:
        """Return the bytes of each (offset, length), in the given order. Raises BlobTrouble for a range beyond the
        end."""

    @abstractmethod
    async def size(self, name: str) -> int:
        """Return the size of the blob in bytes."""

    @abstractmethod
    async def delete(self, name: str) -> None:
        """Remove the blob. A blob that does not exist counts as removed."""

    @abstractmethod
    async def older_than(self, seconds: float, folder: str, *, is_deep: bool = False) -> list[str]:
        """Return the names of the blobs below `folder` that were last written more than `seconds` ago.

        Only blobs directly in `folder` count, unless `is_deep` is set.
        """

    async def remove_abandoned(self) -> int:
        """Remove the unfinished files of killed writers; return how many there were. A store that never shows
        unfinished writes has none."""
        return 0

    async def read_range(self, name: str, offset: int, length: int) -> bytes:
        """Return the `length` bytes at `offset`."""
        return (await self.read_ranges(name, [(offset, length)]))[0]

    async def exists(self, name: str) -> bool:
        """Return whether a blob has this name."""
        try:
            await self.size(name)
        except BlobMissing:
            return False
        return True


def checked(name: str) -> str:
    """Return `name` if it is valid: plain segments joined by slashes, none of them hidden or `..`. Raises
    BadBlobName."""
    if len(name) > NAME_BYTES_MAX or not _NAME.fullmatch(name):
        raise BadBlobName(f"{name[:80]!r} is no blob name")
    return name


def beyond_end(name: str, offset: int, length: int) -> BlobTrouble:
    """Return the error for a range that the blob does not have."""
    return BlobTrouble(f"{name} has no {length} bytes at {offset}", can_retry=False)
