"""Read models side by side in one database: which one is served, where two differ, and the exchange of their names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from vbatch.contracts.read_model import PAST_SCHEMA, REBUILT_SCHEMA, REPLACED_SCHEMA, SCHEMA
from vbatch.results.adapters.postgres import CONNECT_SECONDS, fingerprint, trouble
from vbatch.results.ports import Difference, Served

KEYS = {
    "file": ("id",),
    "batch": ("id",),
    "outcome": ("batch_sequence", "line"),
    "model": ("id",),
    "runner": ("id",),
    "judgement": ("id",),
    "dataset_version": ("id",),
    "labeling": ("id",),
    "evaluation": ("id",),
}
"""The tables to compare. `checkpoint` is left out: its sequence is made equal, and its folder always differs."""
ROWS_AT_ONCE = 1000
COMPARING_SECONDS_MAX = 1800.0
LOCK_SECONDS_MAX = 30

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
Row: TypeAlias = asyncpg.Record
Rows: TypeAlias = AsyncIterator[asyncpg.Record]


class PostgresGenerations:
    def __init__(self, url: str) -> None:
        self._url = url

    async def served(self) -> Served | None:
        async with self._connected() as connection:
            return await _served(connection) if await _is_of_this_version(connection, SCHEMA) else None

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[PostgresSnapshot]:
        async with (
            self._connected() as live,
            self._connected() as other,
            live.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield PostgresSnapshot(live, other, await _served(live))

    async def serve(self, schema: str) -> None:
        async with self._connected() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'")
            if await _exists(connection, SCHEMA):
                await connection.execute(f'DROP SCHEMA IF EXISTS "{REPLACED_SCHEMA}" CASCADE')
                await connection.execute(f'ALTER SCHEMA "{SCHEMA}" RENAME TO "{REPLACED_SCHEMA}"')
            await connection.execute(f'ALTER SCHEMA "{schema}" RENAME TO "{SCHEMA}"')

    async def drop(self, schema: str) -> None:
        async with self._connected() as connection:
            await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')

    async def folders(self) -> set[str]:
        found = set()
        async with self._connected() as connection:
            for schema in (SCHEMA, REBUILT_SCHEMA, REPLACED_SCHEMA, PAST_SCHEMA):
                if await _exists(connection, schema):
                    found.add(await _folder(connection, schema))
        return found

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        with trouble():
            connection = await asyncpg.connect(
                self._url, timeout=CONNECT_SECONDS, command_timeout=COMPARING_SECONDS_MAX
            )
            try:
                yield connection
            finally:
                await connection.close()


class PostgresSnapshot:
    """Compares digests of whole tables first; rows are only fetched from tables that differ."""

    def __init__(self, live: Connection, other: Connection, served: Served) -> None:
        self._live = live
        self._other = other
        self._served = served

    @property
    def served(self) -> Served:
        return self._served

    async def differences(self, schema: str) -> AsyncIterator[Difference]:
        for table, key in KEYS.items():
            if await _digest(self._live, SCHEMA, table) == await _digest(self._other, schema, table):
                continue
            async for difference in self._differing_rows(schema, table, key):
                yield difference

    async def _differing_rows(self, schema: str, table: str, key: tuple[str, ...]) -> AsyncIterator[Difference]:
        async with self._other.transaction(readonly=True):
            served, rebuilt = _rows(self._live, SCHEMA, table, key), _rows(self._other, schema, table, key)
            async for ours, theirs in _pairs(served, rebuilt, key):
                if ours is None:
                    yield Difference(_where(table, key, theirs), "follows from the log, but is not served")
                elif theirs is None:
                    yield Difference(_where(table, key, ours), "is served, but does not follow from the log")
                elif ours != theirs:
                    yield Difference(_where(table, key, ours), _columns(ours, theirs))


async def _pairs(left: Rows, right: Rows, key: tuple[str, ...]) -> AsyncIterator[tuple[Row | None, Row | None]]:
    """Merge two ordered runs of rows; rows with the same key form a pair."""
    ours, theirs = await anext(left, None), await anext(right, None)
    while ours is not None or theirs is not None:
        here, there = _key_of(ours, key), _key_of(theirs, key)
        takes_ours = there is None or (here is not None and here <= there)
        takes_theirs = here is None or (there is not None and there <= here)
        yield ours if takes_ours else None, theirs if takes_theirs else None
        ours = await anext(left, None) if takes_ours else ours
        theirs = await anext(right, None) if takes_theirs else theirs


async def _is_of_this_version(connection: Connection, schema: str) -> bool:
    comment = await connection.fetchval(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = $1", schema
    )
    return bool(comment == fingerprint())


async def _exists(connection: Connection, schema: str) -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema))


async def _served(connection: Connection) -> Served:
    [record] = await connection.fetch(f'SELECT sequence, folder FROM "{SCHEMA}".checkpoint')
    return Served(record["sequence"], record["folder"])


async def _folder(connection: Connection, schema: str) -> str:
    """The folder of the JSONL files: the results folder itself in an older version, which has no such column."""
    query = f"SELECT to_jsonb(it) ->> 'folder' FROM \"{schema}\".checkpoint AS it"
    return await connection.fetchval(query) or ""


async def _digest(connection: Connection, schema: str, table: str) -> asyncpg.Record | None:
    query = f'SELECT count(*), sum(hashtextextended(it::text, 0)::numeric) FROM "{schema}"."{table}" AS it'
    return await connection.fetchrow(query)


async def _rows(connection: Connection, schema: str, table: str, key: tuple[str, ...]) -> AsyncIterator[asyncpg.Record]:
    order = ", ".join(f'{column} COLLATE "C"' if column == "id" else column for column in key)
    query = f'SELECT * FROM "{schema}"."{table}" ORDER BY {order}'
    async for record in connection.cursor(query, prefetch=ROWS_AT_ONCE, timeout=COMPARING_SECONDS_MAX):
        yield record


def _key_of(record: Row | None, key: tuple[str, ...]) -> tuple[str | int, ...] | None:
    return None if record is None else tuple(record[column] for column in key)


def _where(table: str, key: tuple[str, ...], record: Row | None) -> str:
    values = zip(key, _key_of(record, key) or (), strict=True)
    return f"{table} " + ", ".join(f"{column} {value}" for column, value in values)


def _columns(served: asyncpg.Record, rebuilt: asyncpg.Record) -> str:
    columns = [column for column, value in served.items() if value != rebuilt[column]]
    return f"differs in {', '.join(columns)}"
