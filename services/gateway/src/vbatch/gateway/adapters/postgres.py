"""The read model in PostgreSQL: every query of the gateway. It never writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, FanoutId, FileId, ModelId, OwnerId
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus
from vbatch.contracts.limits import MODELS_COUNT_MAX
from vbatch.contracts.manifest import EngineUse
from vbatch.contracts.models import ModelDefinition
from vbatch.contracts.read_model import SCHEMA
from vbatch.contracts.read_model.rows import columns
from vbatch.gateway.adapters.cooperative import map_cooperatively
from vbatch.gateway.adapters.families import FAMILY_IDS, merged_places
from vbatch.gateway.adapters.postgres_comparing import (
    AGREEMENTS,
    COMPARED,
    SHARED_LINES,
    STATISTICS,
    compared_record,
    places_of,
)
from vbatch.gateway.adapters.postgres_lines import FACETS, line_record, lines_query
from vbatch.gateway.core.answer_lines import FAULT_KINDS_MAX, ChunkRecord, FaultRecord, LineRecord, LinesParams
from vbatch.gateway.core.batches.manifest import FileDigest
from vbatch.gateway.core.comparing import Agreement, AnswerStatistics, ComparedRecord, CompareParams
from vbatch.gateway.core.facets import FACETS_MAX, FacetRecord
from vbatch.gateway.core.merged_answers import FAMILY_MAX, Member, MergedPlaces
from vbatch.gateway.core.pages import ListBatchesParams, ListFilesParams, ListResultsParams
from vbatch.gateway.core.quotas import Usage
from vbatch.gateway.core.records import BatchRecord, FileRecord, ModelRecord, OutcomePlace
from vbatch.gateway.core.server_views import DefinedModel, RunnerRecord
from vbatch.gateway.core.usage import COLUMNS as USAGE_COLUMNS, UsageRow
from vbatch.gateway.ports import ReadModelUnavailable

CONNECTIONS_MAX = 10
QUERY_SECONDS_MAX = 10.0
CONNECT_SECONDS_MAX = 5.0
SEARCH_PATH = {"search_path": SCHEMA}
READING = {
    **SEARCH_PATH,
    "default_transaction_read_only": "on",
    "statement_timeout": str(int(QUERY_SECONDS_MAX * 1_000)),
    "application_name": "vbatch gateway",
}
"""PostgreSQL itself refuses the statements that this service never makes, and ends those that no client waits for any
more."""

TROUBLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,  # results has not created the schema yet
    asyncpg.UndefinedColumnError,  # the schema has another version, until `vbatch rebuild --switch`
)

FILE_COLUMNS = columns(FileRecord)
ALIVE = "deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"
FILE = f"SELECT {FILE_COLUMNS} FROM file WHERE owner = $1 AND {ALIVE} AND id = $3"
FILES = f"""
    SELECT {FILE_COLUMNS} FROM file
    WHERE owner = $1 AND {ALIVE} AND ($3::text IS NULL OR purpose = $3)
      AND ($4::text IS NULL OR sequence %s (SELECT sequence FROM file WHERE id = $4 AND owner = $1))
    ORDER BY sequence %s LIMIT $5"""
FILES_NEWEST_FIRST = FILES % ("<", "DESC")
FILES_OLDEST_FIRST = FILES % (">", "ASC")
DIGESTS = "SELECT id, bytes, sha256 FROM file WHERE owner = $1 AND id = ANY($2)"
FILE_IN_USE = """
    SELECT EXISTS (SELECT FROM batch WHERE input_file_id = $1
                   AND status IN ('validating', 'in_progress', 'finalizing', 'cancelling'))"""
# Row and folder in one statement: a rebuilt read model may replace this one between two statements.
BATCH_COLUMNS = "*, (SELECT folder FROM checkpoint) AS partial_folder"
BATCH = f"SELECT {BATCH_COLUMNS} FROM batch WHERE owner = $1 AND id = $2"
# PostgreSQL cannot extract a NUL from JSON, so metadata that holds one is not examined: it matches no filter.
BATCHES = rf"""
    SELECT {BATCH_COLUMNS} FROM batch
    WHERE owner = $1
      AND ($2::text IS NULL OR sequence < (SELECT sequence FROM batch WHERE id = $2 AND owner = $1))
      AND (cardinality($4::text[]) = 0 OR status = ANY($4))
      AND ($5::timestamptz IS NULL OR created_at >= $5)
      AND ($6::timestamptz IS NULL OR created_at < $6)
      AND (cardinality($7::text[]) = 0 OR CASE WHEN strpos(metadata::text, '\u0000') = 0 THEN
           (SELECT bool_and(metadata ->> wanted.key = wanted.value IS TRUE)
            FROM unnest($7::text[], $8::text[]) AS wanted (key, value)) END)
    ORDER BY sequence DESC LIMIT $3"""
FAMILY = f"SELECT {BATCH_COLUMNS} FROM batch WHERE id IN ({FAMILY_IDS}) ORDER BY sequence LIMIT $3"
FANOUT = f"""
    SELECT {BATCH_COLUMNS} FROM batch WHERE owner = $1 AND fanout_id = $2
    ORDER BY sequence LIMIT $3"""
OUTCOMES = f"""
    SELECT {columns(OutcomePlace)} FROM outcome
    WHERE batch_sequence = $1 AND line > $2 AND start + length <= $3
    ORDER BY line LIMIT $4"""
LAST_LINE = "SELECT coalesce(max(line), 0) FROM outcome WHERE batch_sequence = $1 AND start + length <= $2"
USAGE = """
    SELECT (SELECT count(*) FROM batch WHERE owner = $1 AND status = ANY($4)),
           (SELECT coalesce(sum(greatest(total - completed - failed, 0)), 0) FROM batch
            WHERE owner = $1 AND status = ANY($4)),
           (SELECT coalesce(sum(bytes), 0) FROM file
            WHERE owner = $1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > $2)),
           (SELECT coalesce(sum(input_tokens + output_tokens), 0) FROM batch WHERE owner = $1 AND created_at >= $3)"""
USAGE_BY_DAY = """
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, owner, model, count(*), sum(total), sum(completed),
           sum(failed), sum(input_tokens), sum(output_tokens), sum(cached_tokens),
           coalesce(sum(extract(epoch FROM last_outcome_at - first_outcome_at)), 0)::float
    FROM batch WHERE ($1::text IS NULL OR owner = $1) AND created_at >= $2 AND created_at < $3
    GROUP BY day, owner, model ORDER BY day DESC, owner, model NULLS LAST LIMIT $4"""
FAULTS = """
    SELECT error_code, status_code, count(*), min(line) FROM outcome
    WHERE batch_sequence = $1 AND start + length <= $2 AND NOT coalesce(status_code BETWEEN 200 AND 299, false)
    GROUP BY error_code, status_code ORDER BY count(*) DESC, min(line) LIMIT $3"""
CHUNKS = """
    SELECT sequence, count(*) FILTER (WHERE coalesce(status_code BETWEEN 200 AND 299, false)),
           count(*) FILTER (WHERE NOT coalesce(status_code BETWEEN 200 AND 299, false)), coalesce(sum(output_tokens), 0)
    FROM outcome WHERE batch_sequence = $1 AND start + length <= $2
    GROUP BY sequence ORDER BY sequence"""
RUNNERS = f"SELECT {columns(RunnerRecord)} FROM runner ORDER BY id"
DEFINED_MODELS = f"SELECT {columns(DefinedModel)} FROM model WHERE removed_at IS NULL ORDER BY id"
MODELS = f"SELECT {columns(ModelRecord)} FROM model WHERE removed_at IS NULL ORDER BY id"
MODEL = f"SELECT {columns(ModelRecord)} FROM model WHERE removed_at IS NULL AND id = $1"
COUNTS = USAGE_COLUMNS[3:-1]
"""The counts in a row of usage, as in USAGE_BY_DAY."""
CHECKPOINT = "SELECT sequence FROM checkpoint"


class PostgresReads:
    """Implements ports.Reads on a pool of connections."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def file(self, owner: OwnerId, file_id: FileId, now: datetime) -> FileRecord | None:
        rows = await self._rows(FILE, owner, now, file_id)
        return _file(rows[0]) if rows else None

    async def files(self, owner: OwnerId, params: ListFilesParams, now: datetime) -> list[FileRecord]:
        query = FILES_OLDEST_FIRST if params.is_ascending else FILES_NEWEST_FIRST
        return await map_cooperatively(
            _file, await self._rows(query, owner, now, params.purpose, params.after, params.limit + 1)
        )

    async def digests(self, owner: OwnerId, file_ids: Sequence[FileId]) -> list[FileDigest]:
        return [FileDigest(*row) for row in await self._rows(DIGESTS, owner, file_ids)]

    async def is_read_by_a_batch(self, file_id: FileId) -> bool:
        rows = await self._rows(FILE_IN_USE, file_id)
        return bool(rows[0][0])

    async def batch(self, owner: OwnerId, batch_id: BatchId) -> BatchRecord | None:
        rows = await self._rows(BATCH, owner, batch_id)
        return _batch(rows[0]) if rows else None

    async def batches(self, owner: OwnerId, params: ListBatchesParams) -> list[BatchRecord]:
        page = (owner, params.after, params.limit + 1)
        times = (params.created_after, params.created_before)
        metadata = (list(params.metadata.keys()), list(params.metadata.values()))
        return await map_cooperatively(
            _batch, await self._rows(BATCHES, *page, list(params.statuses), *times, *metadata)
        )

    async def family(self, owner: OwnerId, batch_id: BatchId) -> list[BatchRecord]:
        return await map_cooperatively(_batch, await self._rows(FAMILY, owner, batch_id, FAMILY_MAX))

    async def fanout(self, owner: OwnerId, fanout_id: FanoutId) -> list[BatchRecord]:
        return await map_cooperatively(_batch, await self._rows(FANOUT, owner, fanout_id, MODELS_COUNT_MAX))

    async def merged(self, members: Sequence[Member]) -> MergedPlaces:
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS_MAX) as connection:
                return await merged_places(connection, members)
        except TROUBLE as error:
            raise ReadModelUnavailable(f"{type(error).__name__}: {error}") from error

    async def outcomes(self, batch: BatchRecord, params: ListResultsParams) -> list[OutcomePlace]:
        rows = await self._rows(OUTCOMES, batch.sequence, params.after_line, batch.partial_bytes, params.limit)
        return [OutcomePlace(*row) for row in rows]

    async def last_line(self, batch: BatchRecord) -> int:
        rows = await self._rows(LAST_LINE, batch.sequence, batch.partial_bytes)
        return int(rows[0][0])

    async def usage(self, owner: OwnerId, now: datetime, day: datetime) -> Usage:
        unfinished = [status.value for status in BatchStatus if status not in TERMINAL]
        [row] = await self._rows(USAGE, owner, now, day, unfinished)
        return Usage(*(int(value) for value in row))

    async def usage_by_day(self, owner: OwnerId | None, begins: datetime, ends: datetime, limit: int) -> list[UsageRow]:
        return await map_cooperatively(_usage_row, await self._rows(USAGE_BY_DAY, owner, begins, ends, limit))

    async def lines(
        self, batch: BatchRecord, params: LinesParams, hits: Sequence[int] | None = None
    ) -> list[LineRecord]:
        query, arguments = lines_query(batch, params, hits)
        return await map_cooperatively(line_record, await self._rows(query, *arguments))

    async def facets(self, batch: BatchRecord) -> list[FacetRecord]:
        rows = await self._rows(FACETS, batch.sequence, batch.partial_bytes, FACETS_MAX)
        return [FacetRecord(*row) for row in rows]

    async def statistics(self, batches: Sequence[BatchRecord]) -> list[AnswerStatistics]:
        rows = await self._rows(STATISTICS, *places_of(batches))
        return [AnswerStatistics(*row) for row in rows]

    async def agreements(self, batches: Sequence[BatchRecord]) -> list[Agreement]:
        rows = await self._rows(AGREEMENTS, *places_of(batches), batches[0].sequence)
        return [Agreement(*row) for row in rows]

    async def shared_lines(self, batches: Sequence[BatchRecord], params: CompareParams) -> list[int]:
        rows = await self._rows(
            SHARED_LINES[params.only], *places_of(batches), batches[0].sequence, params.after_line, params.limit + 1
        )
        return [int(row[0]) for row in rows]

    async def compared(self, batches: Sequence[BatchRecord], lines: Sequence[int]) -> list[ComparedRecord]:
        return [compared_record(row) for row in await self._rows(COMPARED, *places_of(batches), list(lines))]

    async def faults(self, batch: BatchRecord) -> list[FaultRecord]:
        rows = await self._rows(FAULTS, batch.sequence, batch.partial_bytes, FAULT_KINDS_MAX)
        return [FaultRecord(*row) for row in rows]

    async def chunks(self, batch: BatchRecord) -> list[ChunkRecord]:
        rows = await self._rows(CHUNKS, batch.sequence, batch.partial_bytes)
        return await map_cooperatively(_chunk, rows)

    async def runners(self) -> list[RunnerRecord]:
        return [RunnerRecord(*row) for row in await self._rows(RUNNERS)]

    async def defined_models(self) -> list[DefinedModel]:
        return [_defined_model(row) for row in await self._rows(DEFINED_MODELS)]

    async def models(self) -> list[ModelRecord]:
        return [_model(row) for row in await self._rows(MODELS)]

    async def model(self, model_id: ModelId) -> ModelRecord | None:
        rows = await self._rows(MODEL, model_id)
        return _model(rows[0]) if rows else None

    async def checkpoint(self) -> int:
        """Return the last sequence that results has projected, for the readiness check."""
        rows = await self._rows(CHECKPOINT)
        return int(rows[0][0])

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Run any other query, for the other adapters to PostgreSQL. Raises ReadModelUnavailable."""
        return await self._rows(query, *arguments)

    async def _rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            async with self._pool.acquire(timeout=CONNECT_SECONDS_MAX) as connection:
                return await connection.fetch(query, *arguments)
        except TROUBLE as error:
            raise ReadModelUnavailable(f"{type(error).__name__}: {error}") from error


@asynccontextmanager
async def open_reads(url: str) -> AsyncIterator[PostgresReads]:
    """Open a pool that connects at the first query, so the database may start later."""
    async with asyncpg.create_pool(
        url,
        min_size=0,
        max_size=CONNECTIONS_MAX,
        command_timeout=QUERY_SECONDS_MAX,
        timeout=CONNECT_SECONDS_MAX,
        server_settings=READING,
    ) as pool:
        try:
            yield PostgresReads(pool)
        finally:
            pool.terminate()  # nothing important is in flight: the pool only reads


def _usage_row(row: asyncpg.Record) -> UsageRow:
    day, owner, model, *numbers, seconds = row
    counts = dict(zip(COUNTS, (int(number) for number in numbers), strict=True))
    return UsageRow(day=day, owner=owner, model=model, answering_seconds=round(seconds, 3), **counts)


def _file(row: asyncpg.Record) -> FileRecord:
    return FileRecord(*row)


def _chunk(row: asyncpg.Record) -> ChunkRecord:
    return ChunkRecord(*row)


def _defined_model(row: asyncpg.Record) -> DefinedModel:
    return DefinedModel(msgspec.json.decode(row["definition"], type=ModelDefinition), row["registered_at"])


def _model(row: asyncpg.Record) -> ModelRecord:
    return ModelRecord(*row)


def _batch(row: asyncpg.Record) -> BatchRecord:
    return BatchRecord(
        id=row["id"],
        sequence=row["sequence"],
        version=row["version"],
        endpoint=row["endpoint"],
        completion_window=row["completion_window"],
        input_file_id=row["input_file_id"],
        status=BatchStatus(row["status"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        metadata=_metadata(row["metadata"]),
        output_expires_after_seconds=row["output_expires_after_seconds"],
        model=row["model"],
        errors=_errors(row["errors"]),
        output_file_id=row["output_file_id"],
        error_file_id=row["error_file_id"],
        in_progress_at=row["in_progress_at"],
        finalizing_at=row["finalizing_at"],
        completed_at=row["completed_at"],
        failed_at=row["failed_at"],
        expired_at=row["expired_at"],
        cancelling_at=row["cancelling_at"],
        cancelled_at=row["cancelled_at"],
        # Missing in older versions of the read model, which are served until `vbatch rebuild --switch`.
        priority=row.get("priority", 0),
        asked_priority=row.get("asked_priority", 0),
        retry_of=row.get("retry_of"),
        fanout_id=row.get("fanout_id"),
        asked_model=row.get("asked_model"),
        pause_on=_pause_on(row.get("pause_on")),
        flaws=_flaws(row.get("flaws")),
        engines=_engines(row.get("engines")),
        paused_at=row.get("paused_at"),
        counts=e.RequestCounts(total=row["total"], completed=row["completed"], failed=row["failed"]),
        usage=_usage(row),
        partial_bytes=row["partial_bytes"],
        partial_folder=row["partial_folder"],
    )


def _metadata(text: str | None) -> dict[str, str] | None:
    return msgspec.json.decode(text, type=dict[str, str] | None) if text is not None else None


def _pause_on(text: str | None) -> dict[e.Flaw, float] | None:
    return msgspec.json.decode(text, type=dict[e.Flaw, float]) if text is not None else None


def _flaws(text: str | None) -> dict[e.Flaw, int]:
    return msgspec.json.decode(text, type=dict[e.Flaw, int]) if text is not None else {}


def _engines(text: str | None) -> tuple[EngineUse, ...]:
    return msgspec.json.decode(text, type=tuple[EngineUse, ...]) if text is not None else ()


def _errors(text: str | None) -> tuple[e.BatchFault, ...] | None:
    return msgspec.json.decode(text, type=tuple[e.BatchFault, ...] | None) if text is not None else None


def _usage(row: asyncpg.Record) -> e.Usage:
    return e.Usage(
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_tokens=row["cached_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
    )
