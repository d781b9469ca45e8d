"""What results asks of the world: a database that holds the read model, and a folder of growing JSONL files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from vbatch.contracts.ids import BatchId, FileId
from vbatch.results.core.projection import Changes, Growth, State
from vbatch.results.core.rows import BatchRow


class Trouble(Exception):
    """The database or the disk failed; a retry can help."""


class CheckpointMoved(Exception):
    """Another projector wrote to this read model: this one must stop."""


class ReadModelMismatch(Exception):
    """What is there was made by another version of the read model; the text says what to do."""


class Placed(NamedTuple):
    """Where the output line of an outcome stands in the growing JSONL of its batch."""

    line: int
    start: int
    length: int
    status_code: int | None


class Sealable(NamedTuple):
    """A batch whose counting is over, and the blob of its input file, if that is known."""

    row: BatchRow
    input_blob: str | None


class StoredFile(NamedTuple):
    """A sealed file that can still be asked for, or one whose bytes may go."""

    sequence: int
    id: str
    blob: str
    bytes: int


class GoneOutput(NamedTuple):
    """An output or error file that was deleted or has expired; its batch has ended. `sequence` is the file's."""

    sequence: int
    file_id: FileId
    batch_id: BatchId
    batch_sequence: int


class ReadModel(Protocol):
    """Every method raises Trouble."""

    async def prepare(self) -> None:
        """Make the schema if it is absent. Raises ReadModelMismatch."""

    async def load(self) -> State:
        """What folding needs, as of the checkpoint."""

    async def write(self, after: int, changes: Changes) -> None:
        """All of it or nothing, moving the checkpoint from `after`. Raises CheckpointMoved when it stands elsewhere."""

    async def sealable(self, batch_id: BatchId) -> Sealable | None:
        """None when the batch has ended, or is still being counted."""

    async def outcomes_after(self, batch_sequence: int, line: int, limit: int) -> list[Placed]:
        """At most `limit`, in line order, after `line`."""

    async def outcomes_between(self, batch_sequence: int, first: int, last: int) -> list[Placed]:
        """In line order, both ends included."""

    async def checkpoint(self) -> int: ...

    async def ended(self, after: int, limit: int) -> list[Sealable]:
        """Batches that were counted and have ended, in the order of their creation, behind sequence `after`."""

    async def sealed_files(self, batch_id: BatchId, now: datetime) -> list[StoredFile]:
        """Those of a batch that are neither deleted nor expired."""

    async def unwanted_files(self, gone_before: datetime, after: int, limit: int) -> list[StoredFile]:
        """Files deleted or expired before that time, which no unfinished batch reads, behind sequence `after`."""

    async def gone_outputs(self, now: datetime, after: int, limit: int) -> list[GoneOutput]:
        """Of batches that have ended, in the order of the files, behind sequence `after`."""


class PartialFiles(Protocol):
    """The growing JSONL files. All methods block: call them in a thread. They raise Trouble."""

    def enter(self, folder: str) -> None:
        """From now on work in this folder below the results folder; it is made where it is absent."""

    def cut(self, lengths: Mapping[BatchId, int]) -> None:
        """Forget what stands beyond these lengths. Raises ReadModelMismatch when a file is shorter."""

    def append(self, growth: Mapping[BatchId, Growth]) -> None:
        """Write each at its start, over whatever a lost transaction left there, and wait for the disk."""

    def read(self, batch_id: BatchId, places: Sequence[Placed]) -> list[bytes]:
        """The lines at these places, in their order."""

    def blocks(self, batch_id: BatchId, length: int) -> Iterator[bytes]:
        """Its first `length` bytes, block by block; less where the file is shorter, nothing where it is missing."""

    def remove(self, batch_id: BatchId) -> None:
        """Of a batch that has ended; one that is not there is removed already."""

    def remove_copies(self, batch_id: BatchId) -> bool:
        """Remove it from every other folder below the results folder too; False where one of them is being filled."""


class Difference(NamedTuple):
    """`where` names a table and key, or a file and line."""

    where: str
    what: str


class Served(NamedTuple):
    """The read model that is served: how far it is and where its growing JSONL stand."""

    sequence: int
    folder: str


class Snapshot(Protocol):
    """The served read model as of one moment."""

    @property
    def served(self) -> Served: ...

    def differences(self, schema: str) -> AsyncIterator[Difference]:
        """Rows that it and `schema` do not share."""


class Generations(Protocol):
    """Read models side by side. Every method raises Trouble."""

    async def served(self) -> Served | None:
        """None when there is none, or one of another version."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Only while something of this version is served."""

    async def serve(self, schema: str) -> None:
        """Exchange the names, all at once: what was served is kept as the replaced one."""

    async def drop(self, schema: str) -> None: ...

    async def folders(self) -> set[str]:
        """Those that the read models which are there name."""
