"""What a blob store promises, its names and its errors; the stores are in the modules beside it."""

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
    """The store failed; `can_retry` says whether the same call may succeed later."""

    def __init__(self, text: str, *, can_retry: bool) -> None:
        super().__init__(text)
        self.can_retry = can_retry


class BlobMissing(BlobTrouble):
    """No blob has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no blob {name}", can_retry=False)


class BlobStoreFull(BlobTrouble):
    """The store has no room; nothing was written under the name."""

    def __init__(self, where: str) -> None:
        super().__init__(f"no space is left for blobs in {where}", can_retry=True)


class BadBlobName(ValueError):
    """No store of ours takes this name; names come from code, so this is a bug."""


class BlobWriter(Protocol):
    """One blob being written; it appears under its name when the writing block ends without an error."""

    @property
    def size(self) -> int:
        """The bytes taken so far."""
        ...

    async def write(self, piece: bytes) -> None:
        """Take `piece`; wait if the store is slower than the caller. Raises BlobStoreFull, BlobTrouble."""
        ...


class Blobs(ABC):
    """Blobs by name. A write is whole and durable or did not happen; writing a name again replaces its blob.

    Every method raises BlobTrouble, and the readers raise BlobMissing.
    """

    @abstractmethod
    def writer(self, name: str) -> AbstractAsyncContextManager[BlobWriter]:
        """Write a blob in pieces with bounded memory; it exists, and is durable, when the block ends without error."""

    @abstractmethod
    def read_stream(
        self, name: str, start: int = 0, end: int | None = None, chunk_bytes: int = CHUNK_BYTES
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` to before `end`, in chunks of at most `chunk_bytes`."""

    @abstractmethod
    async def read_ranges(self, name: str, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of each (offset, length), in the given order. Raises BlobTrouble for a range beyond the end."""

    @abstractmethod
    async def size(self, name: str) -> int:
        """The size of the blob in bytes."""

    @abstractmethod
    async def delete(self, name: str) -> None:
        """Remove the blob; one that does not exist counts as removed."""

    @abstractmethod
    async def older_than(self, seconds: float, folder: str, *, is_deep: bool = False) -> list[str]:
        """The names of the blobs directly below `folder`, or at any depth, last written more than `seconds` ago."""

    async def remove_abandoned(self) -> int:
        """Remove the unfinished files of killed writers; return how many there were. A store that never shows an
        unfinished write has none."""
        return 0

    async def read_range(self, name: str, offset: int, length: int) -> bytes:
        """The `length` bytes at `offset`."""
        return (await self.read_ranges(name, [(offset, length)]))[0]

    async def exists(self, name: str) -> bool:
        """Whether a blob has this name."""
        try:
            await self.size(name)
        except BlobMissing:
            return False
        return True


def checked(name: str) -> str:
    """`name`, if it is valid: plain segments joined by slashes, none hidden or leading upwards. Raises BadBlobName."""
    if len(name) > NAME_BYTES_MAX or not _NAME.fullmatch(name):
        raise BadBlobName(f"{name[:80]!r} is no blob name")
    return name


def beyond_end(name: str, offset: int, length: int) -> BlobTrouble:
    """The error for a range that the blob does not have."""
    return BlobTrouble(f"{name} has no {length} bytes at {offset}", can_retry=False)
