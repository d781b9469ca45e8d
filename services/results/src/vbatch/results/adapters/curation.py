"""Writes the rows of judgements and data sets into PostgreSQL, within the transaction of all other changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from vbatch.contracts import events as e
from vbatch.results.core.curation import CurationChanges

if TYPE_CHECKING:
    Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

WITHDRAW = """
    UPDATE judgement SET withdrawn_sequence = $2 WHERE id = $1 AND sequence < $2 AND withdrawn_sequence IS NULL"""
DELETE = """
    UPDATE dataset_version SET deleted_sequence = $2 WHERE id = $1 AND sequence < $2 AND deleted_sequence IS NULL"""

LINK = "UPDATE labeling SET project_id = coalesce(project_id, $2) WHERE id = $1"
PUSH = "UPDATE labeling SET pushed_count = greatest(pushed_count, $2) WHERE id = $1"
RECORD = """
    UPDATE evaluation SET done_count = $2, judged_count = $3, inconsistent_count = $4, unanswered_count = $5,
           cut_count = $6, malformed_count = $7
    WHERE id = $1 AND done_count < $2"""
FAIL = "UPDATE labeling SET failure = coalesce(failure, $2) WHERE id = $1"


async def write_endings(connection: Connection, changes: CurationChanges) -> None:
    """Mark the rows of what was withdrawn, deleted, handed to Label Studio or judged by a model.

    Rows that the transaction adds must already exist.
    """
    if changes.withdrawals:
        await connection.executemany(WITHDRAW, changes.withdrawals)
    if changes.deletions:
        await connection.executemany(DELETE, changes.deletions)
    if changes.verdicts:
        await connection.executemany(RECORD, [_sums(event) for event in changes.verdicts])
    for query, moves in ((LINK, changes.links), (PUSH, changes.pushes), (FAIL, changes.failures)):
        if moves:
            await connection.executemany(query, moves)


def _sums(event: e.EvaluationRecorded) -> tuple[str, int, int, int, int, int, int]:
    return (
        event.evaluation_id,
        event.done_count,
        event.judged_count,
        event.inconsistent_count,
        event.unanswered_count,
        event.cut_count,
        event.malformed_count,
    )
