"""What results needs from outside: a database that holds the read model, and a folder of growing JSONL files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import NamedTuple, Protocol

from vbatch.contracts.ids import BatchId, FileId, OutputKind, output_file_id
from vbatch.contracts.read_model.rows import BatchRow
from vbatch.results.core.projection import Changes, Growth, State
from vbatch.results.core.retention import AgingFile
from vbatch.results.core.verdicts import DueEvaluation


class Trouble(Exception):
    """Raised when the database or the disk failed; a retry may help."""


class CheckpointMoved(Exception):
    """Another projector wrote to this read model: this one must stop."""


class ReadModelMismatch(Exception):
    """The existing read model was made by another version; the text says what to do."""


class Placed(NamedTuple):
    """Where the output line of an outcome is in the growing JSONL of its batch."""

    line: int
    start: int
    length: int
    status_code: int | None


class Sealable(NamedTuple):
    """A batch whose counting is over, and the blob of its input file if it is known."""

    row: BatchRow
    input_blob: str | None


class StoredFile(NamedTuple):
    """A sealed file that can still be requested, or a file whose bytes may be removed."""

    sequence: int
    id: str
    blob: str
    bytes: int


class GoneOutput(NamedTuple):
    """An output or error file that was deleted or has expired, of a batch that has ended. `sequence` is the file's;
    `is_last` is true if the batch has no other file left."""

    sequence: int
    file_id: FileId
    batch_id: BatchId
    batch_sequence: int
    is_last: bool

    @property
    def kinds(self) -> tuple[OutputKind, ...]:
        """The kinds whose answers are gone: that of the file and, with the last file, also those of answers that came
        too late for a file."""
        own: OutputKind = "output" if self.file_id == output_file_id(self.batch_id, "output") else "error"
        return ("output", "error") if self.is_last else (own,)


class ReadModel(Protocol):
    """Every method raises Trouble."""

    async def prepare(self) -> None:
        """Create the schema if it is absent. Raises ReadModelMismatch."""

    async def load(self) -> State:
        """What folding needs, at the checkpoint."""

    async def write(self, after: int, changes: Changes) -> None:
        """Write all changes or none; move the checkpoint from `after`. Raises CheckpointMoved if it is not there."""

    async def sealable(self, batch_id: BatchId) -> Sealable | None:
        """The batch to seal; None when it has ended or is still being counted."""

    async def outcomes_after(self, batch_sequence: int, line: int, limit: int) -> list[Placed]:
        """The outcomes after `line`, in line order, at most `limit`."""

    async def outcomes_between(self, batch_sequence: int, first: int, last: int) -> list[Placed]:
        """The outcomes from `first` to `last`, both included, in line order."""

    async def checkpoint(self) -> int: ...

    async def ended(self, after: int, limit: int) -> list[Sealable]:
        """Batches that were counted and have ended, in order of creation, after sequence `after`."""

    async def sealed_files(self, batch_id: BatchId, now: datetime) -> list[StoredFile]:
        """The sealed files of a batch that are neither deleted nor expired."""

    async def unwanted_files(self, gone_before: datetime, after: int, limit: int) -> list[StoredFile]:
        """Files deleted or expired before `gone_before` that no unfinished batch reads, after sequence `after`."""

    async def aging_files(self, before: datetime, now: datetime, after: int, limit: int) -> list[AgingFile]:
        """Input, output and error files made before `before`, by `sequence`: those that are not deleted, have not
        expired at `now`, and that no unfinished batch reads."""
        ...

    async def gone_outputs(self, now: datetime, after: int, limit: int) -> list[GoneOutput]:
        """Gone files of batches that have ended, in the order of the files, after sequence `after`."""

    async def due_evaluations(self, now: datetime, limit: int) -> list[DueEvaluation]:
        """Evaluations whose judge batch has ended and whose verdicts are not all recorded, the oldest first."""


class PartialFiles(Protocol):
    """The growing JSONL files. All methods block, so call them in a thread. They raise Trouble."""

    def enter(self, folder: str) -> None:
        """Work from now on in this folder below the results folder; it is created if absent."""

    def cut(self, lengths: Mapping[BatchId, int]) -> None:
        """Cut the files to these lengths. Raises ReadModelMismatch when a file is shorter."""

    def append(self, growth: Mapping[BatchId, Growth]) -> None:
        """Write each growth at its start, over whatever a lost transaction left there, and wait for the disk."""

    def read(self, batch_id: BatchId, places: Sequence[Placed]) -> list[bytes]:
        """The lines at these places, in their order."""

    def blocks(self, batch_id: BatchId, length: int) -> Iterator[bytes]:
        """The first `length` bytes of the batch's file, block by block; fewer if the file is shorter, none if it is
        missing."""

    def remove(self, batch_id: BatchId) -> None:
        """Remove the file of a batch that has ended; one that does not exist counts as removed."""

    def remove_copies(self, batch_id: BatchId) -> bool:
        """Remove the file from every other folder below the results folder; return False if one of them is being
        filled."""


class Difference(NamedTuple):
    """`where` names a table and key, or a file and line."""

    where: str
    what: str


class Served(NamedTuple):
    """The read model that is served: its sequence, and the folder of its growing JSONL."""

    sequence: int
    folder: str


class Snapshot(Protocol):
    """The served read model at one moment."""

    @property
    def served(self) -> Served: ...

    def differences(self, schema: str) -> AsyncIterator[Difference]:
        """The rows in which it and `schema` differ."""


class Generations(Protocol):
    """Read models side by side. Every method raises Trouble."""

    async def served(self) -> Served | None:
        """The served read model; None if there is none or if it has another version."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """A snapshot; it requires that a read model of this version is served."""

    async def serve(self, schema: str) -> None:
        """Exchange the names in one step: what was served is kept as the replaced read model."""

    async def drop(self, schema: str) -> None: ...

    async def folders(self) -> set[str]:
        """The folders that the existing read models name."""
