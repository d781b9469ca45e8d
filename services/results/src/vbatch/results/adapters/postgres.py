"""The read model in PostgreSQL: one schema, written by one projector, a transaction at a time."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from importlib.resources import files
from typing import TypeAlias, TypeVar

import asyncpg
import msgspec

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.evaluations import EvaluationKind
from vbatch.contracts.ids import BatchId, EvaluationId, OwnerId, RunnerId
from vbatch.contracts.lifecycle import TERMINAL
from vbatch.contracts.read_model import PROJECTED_CHANNEL, SCHEMA
from vbatch.contracts.read_model.rows import OUTCOME_COLUMNS, BatchRow, FileRow, ModelRow, RunnerRow, columns, storable
from vbatch.results.adapters.curation import write_endings
from vbatch.results.adapters.postgres_metrics import DATABASE_QUERY, DatabaseReading
from vbatch.results.core import batches
from vbatch.results.core.curation import DatasetVersionRow, EvaluationRow, JudgementRow, LabelingRow
from vbatch.results.core.projection import Changes, State
from vbatch.results.core.retention import AgingFile
from vbatch.results.core.verdicts import DueEvaluation, Tally
from vbatch.results.ports import CheckpointMoved, GoneOutput, Placed, ReadModelMismatch, Sealable, StoredFile, Trouble

CONNECTIONS_MAX = 6
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 60.0
RECALLED_AT_ONCE = 10_000
SCHEMA_SQL = files("vbatch.results.adapters").joinpath("schema.sql")
FINGERPRINT_PREFIX = "vbatch read model "

Row = TypeVar(
    "Row", BatchRow, FileRow, ModelRow, RunnerRow, JudgementRow, DatasetVersionRow, LabelingRow, EvaluationRow
)
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

PASSING = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.PostgresSystemError,
)

_SEALABLE = "SELECT batch.*, file.blob FROM batch LEFT JOIN file ON file.id = batch.input_file_id"
_STORED = f"SELECT {columns(StoredFile)} FROM file"
_UNWANTED = f"""
    {_STORED} WHERE (deleted_at < $1 OR expires_at < $1) AND sequence > $2
    AND NOT EXISTS (SELECT FROM batch WHERE input_file_id = file.id AND status <> ALL($4))
    ORDER BY sequence LIMIT $3"""
_AGING = """
    SELECT sequence, id, owner, purpose = 'batch_output', created_at FROM file
    WHERE purpose IN ('batch', 'batch_output') AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
    AND created_at <= $1 AND sequence > $3
    AND NOT EXISTS (SELECT FROM batch WHERE input_file_id = file.id AND status <> ALL($5))
    ORDER BY sequence LIMIT $4"""
_ERASE = """
    UPDATE outcome SET model = NULL, finish_reason = NULL, text_chars = NULL, is_json = NULL, text_hash = NULL
    FROM batch WHERE batch.id = $1 AND outcome.batch_sequence = batch.sequence
    AND CASE WHEN outcome.status_code BETWEEN 200 AND 299 THEN 'output' ELSE 'error' END = ANY($2)"""
_GONE_OUTPUTS = """
    SELECT file.sequence, file.id, batch.id, batch.sequence, NOT EXISTS (
        SELECT FROM file other WHERE other.batch_id = batch.id AND other.purpose = 'batch_output'
        AND NOT COALESCE(other.deleted_at <= $1 OR other.expires_at <= $1, FALSE)
    ) FROM file JOIN batch ON batch.id = file.batch_id
    WHERE file.purpose = 'batch_output' AND (file.deleted_at <= $1 OR file.expires_at <= $1) AND file.sequence > $2
    AND batch.status = ANY($4) ORDER BY file.sequence LIMIT $3"""
_DUE_EVALUATIONS = """
    SELECT evaluation.id, evaluation.owner, kind, judge_batch_id, judge, item_count, batch.sequence AS batch_sequence,
           done_count, judged_count, inconsistent_count, unanswered_count, cut_count, malformed_count,
           EXISTS (SELECT FROM file WHERE file.batch_id = judge_batch_id AND file.purpose = 'batch_output'
                   AND (file.deleted_at IS NOT NULL OR file.expires_at <= $1)) AS is_gone
    FROM evaluation JOIN batch ON batch.id = judge_batch_id
    WHERE done_count < item_count AND batch.status = ANY($2) ORDER BY evaluation.sequence LIMIT $3"""
_PLACED = f"SELECT {columns(Placed)} FROM outcome WHERE batch_sequence = $1"


class PostgresReadModel:
    """The read model in one schema. `schema` differs only while a read model is rebuilt beside the live one; `folder`
    is the folder of a new one."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], schema: str, folder: str) -> None:
        self._pool = pool
        self._schema = schema
        self._folder = folder

    async def prepare(self) -> None:
        expected = fingerprint()
        async with self._transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", self._schema)
            found = await connection.fetchrow(
                "SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = $1",
                self._schema,
            )
            if found is None:
                await connection.execute(f'CREATE SCHEMA "{self._schema}"')
                await connection.execute(SCHEMA_SQL.read_text())
                await connection.execute("UPDATE checkpoint SET folder = $1", self._folder)
                await connection.execute(f"COMMENT ON SCHEMA \"{self._schema}\" IS '{expected}'")
            elif found["comment"] != expected:
                raise ReadModelMismatch(
                    f"schema {self._schema} is of another version of the read model: run `vbatch rebuild --switch`, "
                    "which makes a new one from the log; until then the one that is there is served"
                )

    async def load(self) -> State:
        async with self._transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            [place] = await connection.fetch("SELECT sequence, folder FROM checkpoint")
            state = State(place["sequence"], place["folder"])
            for record in await connection.fetch("SELECT * FROM runner"):
                state.runners[RunnerId(record["id"])] = _row(RunnerRow, record)
            for record in await connection.fetch("SELECT * FROM batch WHERE status <> ALL($1)", _ENDED):
                row = _row(BatchRow, record)
                state.batches[BatchId(row.id)] = await _restored(connection, row)
            return state

    async def write(self, after: int, changes: Changes) -> None:
        async with self._transaction() as connection:
            # This comes first, so that a second projector waits here and then finds the checkpoint moved.
            moved = await connection.execute(
                "UPDATE checkpoint SET sequence = $1 WHERE sequence = $2", changes.sequence, after
            )
            if moved != "UPDATE 1":
                raise CheckpointMoved(f"the checkpoint of {self._schema} is no longer {after}")
            await _write(connection, changes)
            if self._schema == SCHEMA:
                await connection.execute("SELECT pg_notify($1, $2)", PROJECTED_CHANNEL, str(changes.sequence))

    async def sealable(self, batch_id: BatchId) -> Sealable | None:
        async with self._connection() as connection:
            record = await connection.fetchrow(
                f"{_SEALABLE} WHERE batch.id = $1 AND ending IS NOT NULL AND status <> ALL($2)", batch_id, _ENDED
            )
            return None if record is None else Sealable(_row(BatchRow, record), record["blob"])

    async def outcomes_after(self, batch_sequence: int, line: int, limit: int) -> list[Placed]:
        query = f"{_PLACED} AND line > $2 ORDER BY line LIMIT $3"
        async with self._connection() as connection:
            return [Placed(*record) for record in await connection.fetch(query, batch_sequence, line, limit)]

    async def outcomes_between(self, batch_sequence: int, first: int, last: int) -> list[Placed]:
        query = f"{_PLACED} AND line BETWEEN $2 AND $3 ORDER BY line"
        async with self._connection() as connection:
            return [Placed(*record) for record in await connection.fetch(query, batch_sequence, first, last)]

    async def checkpoint(self) -> int:
        async with self._connection() as connection:
            sequence: int = await connection.fetchval("SELECT sequence FROM checkpoint")
            return sequence

    async def database_reading(self) -> DatabaseReading:
        """Read the database statistics for Prometheus. Raises Trouble."""
        async with self._connection() as connection:
            record = await connection.fetchrow(DATABASE_QUERY)
            assert record is not None, "a database has one row in pg_stat_database"
            return DatabaseReading(**dict(record))

    async def ended(self, after: int, limit: int) -> list[Sealable]:
        query = f"{_SEALABLE} WHERE ending IS NOT NULL AND status = ANY($1) AND batch.sequence > $2"
        async with self._connection() as connection:
            records = await connection.fetch(f"{query} ORDER BY batch.sequence LIMIT $3", _ENDED, after, limit)
            return [Sealable(_row(BatchRow, record), record["blob"]) for record in records]

    async def sealed_files(self, batch_id: BatchId, now: datetime) -> list[StoredFile]:
        query = f"{_STORED} WHERE batch_id = $1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"
        async with self._connection() as connection:
            return [StoredFile(*record) for record in await connection.fetch(query, batch_id, now)]

    async def unwanted_files(self, gone_before: datetime, after: int, limit: int) -> list[StoredFile]:
        async with self._connection() as connection:
            records = await connection.fetch(_UNWANTED, gone_before, after, limit, _ENDED)
            return [StoredFile(*record) for record in records]

    async def aging_files(self, before: datetime, now: datetime, after: int, limit: int) -> list[AgingFile]:
        async with self._connection() as connection:
            records = await connection.fetch(_AGING, before, now, after, limit, _ENDED)
            return [AgingFile(*record) for record in records]

    async def gone_outputs(self, now: datetime, after: int, limit: int) -> list[GoneOutput]:
        async with self._connection() as connection:
            records = await connection.fetch(_GONE_OUTPUTS, now, after, limit, _ENDED)
            return [GoneOutput(*record) for record in records]

    async def due_evaluations(self, now: datetime, limit: int) -> list[DueEvaluation]:
        async with self._connection() as connection:
            return [_due(record) for record in await connection.fetch(_DUE_EVALUATIONS, now, _ENDED, limit)]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with trouble():
            async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
                yield connection

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._connection() as connection, connection.transaction():
            yield connection


SERVER_SETTINGS = {"application_name": "vbatch-results", "synchronous_commit": "on"}
"""What the gateway has shown must stay true. If commits did not wait for the disk, a killed PostgreSQL could lose what
it had committed, and a projector that has nothing to write would never notice."""


@asynccontextmanager
async def read_model(url: str, schema: str = SCHEMA, folder: str = "") -> AsyncIterator[PostgresReadModel]:
    """A read model that connects on first use, so it opens even while the server is unreachable."""
    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=CONNECTIONS_MAX,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        server_settings=SERVER_SETTINGS | {"search_path": f'"{schema}"'},
    )
    async with pool:
        try:
            yield PostgresReadModel(pool, schema, folder)
        finally:
            pool.terminate()


_ENDED = [status.value for status in TERMINAL]


async def _restored(connection: Connection, row: BatchRow) -> batches.OpenBatch:
    batch = batches.restored(row)
    if batch.ledger is not None:
        query = "SELECT line, status_code FROM outcome WHERE batch_sequence = $1"
        cursor = await connection.cursor(query, row.sequence, timeout=STATEMENT_SECONDS)
        while page := await cursor.fetch(RECALLED_AT_ONCE):
            batches.counted_before(batch, [(record[0], record[1]) for record in page])
    return batch


async def _write(connection: Connection, changes: Changes) -> None:
    if changes.outcomes:
        await connection.copy_records_to_table("outcome", records=changes.outcomes, columns=OUTCOME_COLUMNS)
        reached(Failpoint.ROWS_COPIED)
    await _insert(connection, "batch", list(changes.batches.values()), replaces=True)
    if changes.erasures:
        await connection.executemany(_ERASE, [(batch_id, list(kinds)) for batch_id, kinds in changes.erasures.items()])
    await _insert(connection, "file", list(changes.files.values()), replaces=False)
    await _insert(connection, "model", list(changes.models.values()), replaces=True)
    await _insert(connection, "runner", list(changes.runners.values()), replaces=True)
    await _insert(connection, "judgement", list(changes.curation.judgements.values()), replaces=False)
    await _insert(connection, "dataset_version", list(changes.curation.datasets.values()), replaces=False)
    await _insert(connection, "labeling", list(changes.curation.labelings.values()), replaces=False)
    await _insert(connection, "evaluation", list(changes.curation.evaluations.values()), replaces=False)
    await write_endings(connection, changes.curation)
    if changes.deletions:
        await connection.executemany(
            "UPDATE file SET deleted_at = $3 WHERE id = $1 AND owner = $2 AND deleted_at IS NULL",
            [(file_id, storable(owner), at) for file_id, (owner, at) in changes.deletions.items()],
        )
    if changes.removals:
        await connection.executemany("UPDATE model SET removed_at = $2 WHERE id = $1", list(changes.removals.items()))


async def _insert(connection: Connection, table: str, rows: Sequence[Row], *, replaces: bool) -> None:
    if not rows:
        return
    names = rows[0].__struct_fields__
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    updates = ", ".join(f"{column} = EXCLUDED.{column}" for column in names[1:])
    otherwise = f"UPDATE SET {updates}" if replaces else "NOTHING"
    await connection.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places}) ON CONFLICT (id) DO {otherwise}",
        [[_storable(value) for value in msgspec.structs.astuple(row)] for row in rows],
    )


def _storable(value: object) -> object:
    return storable(value) if isinstance(value, str) else value


def _row(row_type: type[Row], record: asyncpg.Record) -> Row:
    return row_type(**{column: record[column] for column in row_type.__struct_fields__})


def _due(record: asyncpg.Record) -> DueEvaluation:
    return DueEvaluation(
        id=EvaluationId(record["id"]),
        owner=OwnerId(record["owner"]),
        kind=EvaluationKind(record["kind"]),
        judge_batch_id=BatchId(record["judge_batch_id"]),
        judge=record["judge"],
        item_count=record["item_count"],
        batch_sequence=record["batch_sequence"],
        tally=Tally(**{column: record[column] for column in Tally.__dataclass_fields__}),
        is_gone=record["is_gone"],
    )


def fingerprint() -> str:
    """The comment on a schema of this version."""
    return FINGERPRINT_PREFIX + hashlib.sha256(SCHEMA_SQL.read_bytes()).hexdigest()[:16]


@contextmanager
def trouble() -> Iterator[None]:
    """Turn errors that a retry may fix into Trouble."""
    try:
        yield
    except PASSING as error:
        raise Trouble(f"PostgreSQL: {type(error).__name__}: {error}") from error
