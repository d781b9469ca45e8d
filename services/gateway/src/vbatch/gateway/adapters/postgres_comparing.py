"""The queries that compare batches line by line. Texts are compared by their hashes, so no answer is read."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from vbatch.gateway.adapters.postgres_lines import SUCCEEDED, line_record
from vbatch.gateway.core.comparing import ComparedRecord, Only
from vbatch.gateway.core.records import BatchRecord

COUNTED = """
    counted AS (SELECT outcome.* FROM outcome
                JOIN unnest($1::bigint[], $2::bigint[]) AS batch (sequence, bytes)
                ON batch_sequence = batch.sequence AND start + length <= batch.bytes)"""
STATISTICS = f"""
    WITH {COUNTED}, good AS (SELECT *, {SUCCEEDED} AS is_good FROM counted)
    SELECT batch_sequence, count(*), count(*) FILTER (WHERE is_good),
           count(*) FILTER (WHERE finish_reason = 'length'), count(*) FILTER (WHERE is_json),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE is_good),
           percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE is_good),
           percentile_cont(0.5) WITHIN GROUP (ORDER BY text_chars) FILTER (WHERE is_good),
           percentile_cont(0.95) WITHIN GROUP (ORDER BY text_chars) FILTER (WHERE is_good),
           sum(output_tokens)
    FROM good GROUP BY batch_sequence"""
AGREEMENTS = f"""
    WITH {COUNTED}
    SELECT other.batch_sequence, count(*), count(*) FILTER (WHERE other.text_hash = first.text_hash)
    FROM counted AS first JOIN counted AS other ON other.line = first.line AND other.custom_id = first.custom_id
    WHERE first.batch_sequence = $3 AND other.batch_sequence <> $3
      AND first.text_hash IS NOT NULL AND other.text_hash IS NOT NULL
    GROUP BY other.batch_sequence"""
_OTHERS = """
    FROM outcome AS other WHERE other.batch_sequence = ANY($1) AND other.batch_sequence <> $3
    AND other.line = first.line AND other.custom_id = first.custom_id"""
_SHARED = f"""
    WITH {COUNTED}
    SELECT line FROM counted AS first WHERE batch_sequence = $3 AND line > $4 AND %s ORDER BY line LIMIT $5"""
SHARED_LINES = {
    Only.ALL: _SHARED % f"EXISTS (SELECT {_OTHERS})",
    Only.DIFFERENT: _SHARED % f"EXISTS (SELECT {_OTHERS} AND other.text_hash IS DISTINCT FROM first.text_hash)",
    Only.FAILED: _SHARED
    % f"EXISTS (SELECT {_OTHERS}) AND (NOT {SUCCEEDED} OR EXISTS (SELECT {_OTHERS} AND NOT {SUCCEEDED}))",
}
COMPARED = f"WITH {COUNTED} SELECT * FROM counted WHERE line = ANY($3::integer[])"


def places_of(batches: Sequence[BatchRecord]) -> tuple[list[int], list[int]]:
    """Return the first two arguments of each query: the batches, and how much of their answers counts."""
    return [batch.sequence for batch in batches], [batch.partial_bytes for batch in batches]


def compared_record(row: asyncpg.Record) -> ComparedRecord:
    return ComparedRecord(row["batch_sequence"], line_record(row), row["text_hash"])
