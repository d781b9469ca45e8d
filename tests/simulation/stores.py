"""Blobs, read model and growing files in memory, with the guarantees of the real ones and with their failures.

The twin of the read model keeps the transactions of PostgreSQL (all or nothing, a checkpoint that is compared and set,
primary keys); PostgreSQL itself is covered by tests/integration/results. What is stored here survives every process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from msgspec.structs import replace

from tests.simulation.loop import Lane
from tests.simulation.weather import Weather
from vbatch.chassis.blobs import BlobMissing, Blobs, BlobTrouble, BlobWriter
from vbatch.chassis.blobs.port import BlobStoreFull, Range, beyond_end
from vbatch.contracts.evaluations import EvaluationKind
from vbatch.contracts.ids import BatchId, EvaluationId, FileId, OwnerId, RunnerId
from vbatch.contracts.lifecycle import TERMINAL
from vbatch.contracts.read_model.rows import BatchRow, FileRow, ModelRow, OutcomeRow, RunnerRow
from vbatch.results.core import batches
from vbatch.results.core.curation import EvaluationRow
from vbatch.results.core.projection import Changes, Growth, State
from vbatch.results.core.retention import AgingFile
from vbatch.results.core.sealing import kind_of
from vbatch.results.core.verdicts import DueEvaluation, Tally
from vbatch.results.ports import CheckpointMoved, GoneOutput, Placed, ReadModelMismatch, Sealable, StoredFile, Trouble

BlobStore = dict[str, bytes]
PartialStore = dict[str, bytearray]
ARCHIVES = "archives/"
ENDED = frozenset(status.value for status in TERMINAL)


class UniqueViolation(Exception):
    """The twin's error for a second row with the same primary key. In the service it is always a bug."""


class _Writer:
    def __init__(self, blobs: SimulatedBlobs) -> None:
        self._blobs = blobs
        self.content = bytearray()

    @property
    def size(self) -> int:
        return len(self.content)

    async def write(self, piece: bytes) -> None:
        await self._blobs.turn()
        self.content += piece


class SimulatedBlobs(Blobs):
    """A write appears whole if its block ends normally, or not at all."""

    def __init__(self, store: BlobStore, lane: Lane, weather: Weather) -> None:
        self._store = store
        self._lane = lane
        self._weather = weather

    async def turn(self, name: str = "") -> None:
        await self._weather.wait()
        self._lane.check_alive()
        self._must_be_there(name)
        if self._weather.strikes(self._weather.blob_trouble):
            raise BlobStoreFull("the simulation")

    @asynccontextmanager
    async def writer(self, name: str) -> AsyncIterator[BlobWriter]:
        writer = _Writer(self)
        yield writer
        await self.turn(name)
        self._store[name] = self._stored(name, bytes(writer.content))

    async def read_stream(
        self, name: str, start: int = 0, end: int | None = None, chunk_bytes: int = 1 << 20
    ) -> AsyncIterator[bytes]:
        await self._read_turn(name)
        content = self._found(name)[start:end]
        cut = self._weather.random.randint(0, len(content))
        for piece in (content[:cut], content[cut:]):
            if piece:
                yield piece
            await self._read_turn(name)

    async def read_ranges(self, name: str, ranges: Sequence[Range]) -> list[bytes]:
        await self._read_turn()
        content = self._found(name)
        for offset, length in ranges:
            if offset + length > len(content):
                raise beyond_end(name, offset, length)
        return [content[offset : offset + length] for offset, length in ranges]

    async def size(self, name: str) -> int:
        return len(self._found(name))

    async def delete(self, name: str) -> None:
        self._store.pop(name, None)

    async def older_than(self, seconds: float, folder: str, *, is_deep: bool = False) -> list[str]:
        await self._read_turn(f"{folder}/")
        found = sorted(name for name in self._store if name.startswith(f"{folder}/"))  # all were just written
        return [name for name in found if is_deep or "/" not in name.removeprefix(f"{folder}/")]

    def _found(self, name: str) -> bytes:
        if name not in self._store:
            raise BlobMissing(name)
        return self._store[name]

    def _stored(self, name: str, content: bytes) -> bytes:
        """A store that lies about an archive keeps only its beginning."""
        is_torn = name.startswith(ARCHIVES) and self._weather.strikes(self._weather.torn_archive)
        return content[: self._weather.random.randint(0, len(content))] if is_torn else content

    def _must_be_there(self, name: str) -> None:
        if name.startswith(ARCHIVES) and self._weather.archives_are_away and not self._weather.is_calm:
            raise BlobTrouble("the simulated store of archives is away", can_retry=True)

    async def _read_turn(self, name: str = "") -> None:
        await self._weather.wait()
        self._must_be_there(name)
        if self._weather.strikes(self._weather.blob_trouble / 4):
            raise BlobTrouble("the simulation cannot read now", can_retry=True)


@dataclass
class Tables:
    """The rows. `on_status` is called for every change of a batch's status, within its transaction."""

    sequence: int = 0
    batches: dict[str, BatchRow] = field(default_factory=dict)
    files: dict[str, FileRow] = field(default_factory=dict)
    deleted_at: dict[str, datetime] = field(default_factory=dict)
    models: dict[str, ModelRow] = field(default_factory=dict)
    runners: dict[str, RunnerRow] = field(default_factory=dict)
    outcomes: dict[tuple[int, int], OutcomeRow] = field(default_factory=dict)
    evaluations: dict[str, EvaluationRow] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def apply(self, changes: Changes) -> None:
        """Apply one transaction. Raises UniqueViolation without changing anything."""
        keys = [(row[0], row[1]) for row in changes.outcomes]
        if len(set(keys)) < len(keys) or any(key in self.outcomes for key in keys):
            raise UniqueViolation("outcome_pkey")
        self.sequence = changes.sequence
        self.outcomes.update(zip(keys, changes.outcomes, strict=True))
        self.batches.update((row.id, row) for row in changes.batches.values())
        for batch_id, kinds in changes.erasures.items():
            self._erase(self.batches[batch_id].sequence, kinds)
        for file in changes.files.values():
            self.files.setdefault(file.id, file)
        self.models.update((row.id, row) for row in changes.models.values())
        self.runners.update((row.id, row) for row in changes.runners.values())
        for file_id, (owner, at) in changes.deletions.items():
            if (found := self.files.get(file_id)) is not None and found.owner == owner:
                self.deleted_at.setdefault(file_id, at)
        for model, at in changes.removals.items():
            if model in self.models:
                self.models[model] = replace(self.models[model], removed_at=at)
        for evaluation in changes.curation.evaluations.values():
            self.evaluations.setdefault(evaluation.id, evaluation)
        for event in changes.curation.verdicts:
            sums = {name: getattr(event, name) for name in Tally.__dataclass_fields__}
            self.tallies[event.evaluation_id] = Tally(**sums)

    def _erase(self, batch: int, kinds: Sequence[str]) -> None:
        """Of the answers of these files only their places, ids, codes and counts stay."""
        for key, row in self.outcomes.items():
            if key[0] == batch and kind_of(row[5]) in kinds:
                self.outcomes[key] = (*row[:11], None, None, None, None, None)

    def due_evaluations(self, now: datetime) -> list[DueEvaluation]:
        gone = {file.batch_id for file in self.files.values() if file.batch_id and self.is_gone(file, now)}
        return [
            DueEvaluation(
                id=EvaluationId(row.id),
                owner=OwnerId(row.owner),
                kind=EvaluationKind(row.kind),
                judge_batch_id=BatchId(row.judge_batch_id),
                judge=row.judge,
                item_count=row.item_count,
                batch_sequence=batch.sequence,
                tally=tally,
                is_gone=row.judge_batch_id in gone,
            )
            for row in sorted(self.evaluations.values(), key=lambda row: row.sequence)
            if (batch := self.batches.get(row.judge_batch_id)) is not None and batch.status in ENDED
            if (tally := self.tallies.get(row.id, Tally())).done_count < row.item_count
        ]

    def input_blob(self, row: BatchRow) -> str | None:
        file = self.files.get(row.input_file_id)
        return file.blob if file else None

    def files_in_order(self) -> list[FileRow]:
        return sorted(self.files.values(), key=lambda file: file.sequence)

    def is_gone(self, file: FileRow, before: datetime) -> bool:
        """Whether it was deleted or had expired before that time."""
        ends = (self.deleted_at.get(file.id), file.expires_at)
        return any(at is not None and at < before for at in ends)

    def placed(self, batch_sequence: int) -> list[OutcomeRow]:
        return sorted(row for (batch, _), row in self.outcomes.items() if batch == batch_sequence)


class TwinReadModel:
    """One process's connection to the tables."""

    def __init__(
        self, tables: Tables, lane: Lane, weather: Weather, on_commit: Callable[[Tables, Changes], None]
    ) -> None:
        self._tables = tables
        self._lane = lane
        self._weather = weather
        self._on_commit = on_commit

    async def prepare(self) -> None:
        await self._turn()

    async def load(self) -> State:
        await self._turn()
        state = State(self._tables.sequence)
        state.runners = {RunnerId(row.id): row for row in self._tables.runners.values()}
        for row in self._tables.batches.values():
            if row.status not in ENDED:
                batch = batches.restored(row)
                batches.counted_before(batch, [(other[1], other[5]) for other in self._tables.placed(row.sequence)])
                state.batches[BatchId(row.id)] = batch
        return state

    async def write(self, after: int, changes: Changes) -> None:
        await self._turn()
        if self._tables.sequence != after:
            raise CheckpointMoved(f"the checkpoint is {self._tables.sequence}, no longer {after}")
        self._on_commit(self._tables, changes)
        self._tables.apply(changes)
        await self._turn()  # a failure here is a commit whose answer is lost

    async def sealable(self, batch_id: BatchId) -> Sealable | None:
        await self._turn()
        row = self._tables.batches.get(batch_id)
        if row is None or row.ending is None or row.status in ENDED:
            return None
        return Sealable(row, self._tables.input_blob(row))

    async def outcomes_after(self, batch_sequence: int, line: int, limit: int) -> list[Placed]:
        await self._turn()
        return [_placed(row) for row in self._tables.placed(batch_sequence) if row[1] > line][:limit]

    async def outcomes_between(self, batch_sequence: int, first: int, last: int) -> list[Placed]:
        await self._turn()
        return [_placed(row) for row in self._tables.placed(batch_sequence) if first <= row[1] <= last]

    async def checkpoint(self) -> int:
        await self._turn()
        return self._tables.sequence

    async def ended(self, after: int, limit: int) -> list[Sealable]:
        await self._turn()
        rows = sorted(self._tables.batches.values(), key=lambda row: row.sequence)
        counted = [row for row in rows if row.status in ENDED and row.ending is not None and row.sequence > after]
        return [Sealable(row, self._tables.input_blob(row)) for row in counted[:limit]]

    async def sealed_files(self, batch_id: BatchId, now: datetime) -> list[StoredFile]:
        await self._turn()
        return [_stored(file) for file in self._tables.files_in_order() if file.batch_id == batch_id
                and not self._tables.is_gone(file, now)]  # fmt: skip

    async def unwanted_files(self, gone_before: datetime, after: int, limit: int) -> list[StoredFile]:
        await self._turn()
        read = {row.input_file_id for row in self._tables.batches.values() if row.status not in ENDED}
        gone = [
            row
            for row in self._tables.files_in_order()
            if self._tables.is_gone(row, gone_before) and row.id not in read
        ]
        return [_stored(file) for file in gone if file.sequence > after][:limit]

    async def aging_files(self, before: datetime, now: datetime, after: int, limit: int) -> list[AgingFile]:
        await self._turn()
        return []  # everything is kept

    async def gone_outputs(self, now: datetime, after: int, limit: int) -> list[GoneOutput]:
        await self._turn()
        found = []
        for file in self._tables.files_in_order():
            row = self._tables.batches.get(file.batch_id or "")
            if row is not None and row.status in ENDED and self._tables.is_gone(file, now) and file.sequence > after:
                others = [other for other in self._tables.files_in_order() if other.batch_id == row.id]
                is_last = all(self._tables.is_gone(other, now) for other in others)
                found.append(GoneOutput(file.sequence, FileId(file.id), BatchId(row.id), row.sequence, is_last))
        return found[:limit]

    async def due_evaluations(self, now: datetime, limit: int) -> list[DueEvaluation]:
        await self._turn()
        return self._tables.due_evaluations(now)[:limit]

    async def _turn(self) -> None:
        await self._weather.wait()
        self._lane.check_alive()
        if self._weather.strikes(self._weather.database_trouble):
            raise Trouble("the simulated database went away")


def _stored(file: FileRow) -> StoredFile:
    return StoredFile(file.sequence, file.id, file.blob, file.bytes)


def _placed(row: OutcomeRow) -> Placed:
    return Placed(row[1], row[2], row[3], row[5])


class TwinPartials:
    """The growing files. A failed write leaves a part of its bytes."""

    def __init__(self, store: PartialStore, weather: Weather) -> None:
        self._store = store
        self._weather = weather

    def enter(self, folder: str) -> None:
        """There is only one folder."""

    def blocks(self, batch_id: BatchId, length: int) -> Iterator[bytes]:
        yield bytes(self._store.get(batch_id, bytearray())[:length])

    def cut(self, lengths: Mapping[BatchId, int]) -> None:
        self._fail_sometimes()
        for batch_id, length in lengths.items():
            self._cut(batch_id, length)

    def append(self, growth: Mapping[BatchId, Growth]) -> None:
        for batch_id, added in growth.items():
            self._cut(batch_id, added.start)
            content = b"".join(added.lines)
            if self._weather.strikes(self._weather.disk_trouble):
                self._store[batch_id] += content[: self._weather.random.randint(0, len(content))]
                raise Trouble("the simulated disk is full")
            self._store[batch_id] += content

    def read(self, batch_id: BatchId, places: Sequence[Placed]) -> list[bytes]:
        self._fail_sometimes()
        content = self._store.get(batch_id, bytearray())
        lines = [bytes(content[place.start : place.start + place.length]) for place in places]
        if any(len(line) != place.length for line, place in zip(lines, places, strict=True)):
            raise Trouble(f"the growing file of {batch_id} is shorter than the read model says")
        return lines

    def remove(self, batch_id: BatchId) -> None:
        self._store.pop(batch_id, None)

    def remove_copies(self, batch_id: BatchId) -> bool:
        """There is only one folder."""
        return True

    def _cut(self, batch_id: BatchId, length: int) -> None:
        content = self._store.setdefault(batch_id, bytearray())
        if len(content) < length:
            raise ReadModelMismatch(f"{batch_id} has {len(content)} bytes where the read model counts {length}")
        del content[length:]

    def _fail_sometimes(self) -> None:
        if self._weather.strikes(self._weather.disk_trouble):
            raise Trouble("the simulated disk failed")
