"""Writes the rows of judgements and data sets into PostgreSQL, within the transaction of all other changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from vbatch.results.core.curation import CurationChanges

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

WITHDRAW = """
    UPDATE judgement SET withdrawn_sequence = $2 WHERE id = $1 AND sequence < $2 AND withdrawn_sequence IS NULL"""
DELETE = """
    UPDATE dataset_version SET deleted_sequence = $2 WHERE id = $1 AND sequence < $2 AND deleted_sequence IS NULL"""

LINK = "UPDATE labeling SET project_id = coalesce(project_id, $2) WHERE id = $1"
PUSH = "UPDATE labeling SET pushed_count = greatest(pushed_count, $2) WHERE id = $1"
FAIL = "UPDATE labeling SET failure = coalesce(failure, $2) WHERE id = $1"


async def write_endings(connection: Connection, changes: CurationChanges) -> None:
    """Mark what was withdrawn, deleted or handed to Label Studio. Rows that the transaction adds are there already."""
    if changes.withdrawals:
        await connection.executemany(WITHDRAW, changes.withdrawals)
    if changes.deletions:
        await connection.executemany(DELETE, changes.deletions)
    for query, moves in ((LINK, changes.links), (PUSH, changes.pushes), (FAIL, changes.failures)):
        if moves:
            await connection.executemany(query, moves)
