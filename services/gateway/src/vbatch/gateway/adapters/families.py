"""The queries over batches that belong together: a batch with its retries, and the batches of one fan-out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import asyncpg

from vbatch.gateway.core.merged_answers import Member, MergedPlace, MergedPlaces

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
ROWS_AT_ONCE = 10_000
MERGE_SETTINGS = "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '60s'"
"""A million answers are sorted within seconds, or in memory if there are few answers."""
MERGE_SECONDS_MAX = 60.0

FAMILY_IDS = """
    WITH RECURSIVE up AS (
        SELECT id, retry_of FROM batch WHERE owner = $1 AND id = $2
        UNION
        SELECT parent.id, parent.retry_of FROM batch parent JOIN up ON parent.id = up.retry_of WHERE parent.owner = $1
    ), family AS (
        SELECT id FROM up WHERE retry_of IS NULL
        UNION
        SELECT child.id FROM batch child JOIN family ON child.retry_of = family.id WHERE child.owner = $1
    )
    SELECT id FROM family"""

# custom_ids are equal if their bytes are; the collation makes sorting them fast.
MERGED = """
    SELECT member, start, length, first_batch, first_line FROM (
        SELECT given.member, given.grouping, start, length,
               row_number() OVER (PARTITION BY custom_id COLLATE "C", given.grouping
                                  ORDER BY coalesce(status_code BETWEEN 200 AND 299, false) DESC, batch_sequence DESC)
                   AS place,
               first_value(batch_sequence) OVER by_age AS first_batch, first_value(line) OVER by_age AS first_line
        FROM outcome JOIN unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[])
             AS given (sequence, bytes, member, grouping) ON batch_sequence = given.sequence
        WHERE start + length <= given.bytes
        WINDOW by_age AS (PARTITION BY custom_id COLLATE "C" ORDER BY batch_sequence)
    ) AS answers
    WHERE place = 1 ORDER BY first_batch, first_line, grouping"""


async def merged_places(connection: Connection, members: Sequence[Member]) -> MergedPlaces:
    """Return the places of the answers that count; they are read in pages, so that they are never all held as rows."""
    places = MergedPlaces()
    columns = (
        [member.batch.sequence for member in members],
        [member.batch.partial_bytes for member in members],
        list(range(len(members))),
        [member.group for member in members],
    )
    async with connection.transaction():
        await connection.execute(MERGE_SETTINGS)
        cursor = await connection.cursor(MERGED, *columns, timeout=MERGE_SECONDS_MAX)
        while rows := await cursor.fetch(ROWS_AT_ONCE, timeout=MERGE_SECONDS_MAX):
            for member, start, length, first_batch, first_line in rows:
                places.add(MergedPlace(member, start, length), (first_batch, first_line))
    return places
