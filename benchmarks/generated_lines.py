"""A read model with a given number of generated answers: the cost of reading does not depend on what generated the
answers.

An ended batch of the running stack is made large: its rows, its growing JSONL and its input file are replaced.
"""

from __future__ import annotations

import asyncio
import json
from random import Random

import asyncpg
import msgspec

from tests.support.stack import RunningStack
from vbatch.contracts import events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import BatchId
from vbatch.contracts.lines import output_line
from vbatch.contracts.read_model import SCHEMA, partial_results_path
from vbatch.contracts.read_model.rows import OUTCOME_COLUMNS, OutcomeRow
from vbatch.results.core.facets import facets_of

WORDS = ("tides", "volcanoes", "bread", "light", "gravity", "vaccines", "bees", "taxes", "rivers", "glass", "steel")
WORDS_AN_ANSWER = 40
FAILED_EVERY, CUT_EVERY, JSON_EVERY, RARE_EVERY = 500, 50, 10, 99_991
RARE_WORD = "pomegranate"
ROWS_AT_ONCE = 20_000
SEED = 11


def make_large(stack: RunningStack, batch_id: str, lines: int) -> int:
    """Replace the batch's data; return the bytes of the answers."""
    return asyncio.run(_made_large(stack, BatchId(batch_id), lines))


async def _made_large(stack: RunningStack, batch_id: BatchId, lines: int) -> int:
    url = (stack.home / "secrets" / "postgres-url").read_text().strip()
    connection = await asyncpg.connect(url, server_settings={"search_path": SCHEMA})
    try:
        sequence = await connection.fetchval("SELECT sequence FROM batch WHERE id = $1", batch_id)
        await connection.execute("DELETE FROM outcome WHERE batch_sequence = $1", sequence)
        size = await _answers(stack, connection, batch_id, sequence, lines)
        await _input(stack, connection, batch_id, lines)
        await connection.execute(
            "UPDATE batch SET total = $2::integer, completed = $2::integer - $3::integer, failed = $3,"
            " last_line = $2::integer, partial_bytes = $4, output_file_id = NULL, error_file_id = NULL,"
            " version = version + 1 WHERE id = $1",
            batch_id,
            lines,
            lines // FAILED_EVERY,
            size,
        )
        await connection.execute("ANALYZE outcome")
    finally:
        await connection.close()
    return size


async def _answers(
    stack: RunningStack, connection: asyncpg.Connection, batch_id: BatchId, sequence: int, lines: int
) -> int:
    """Write the answers in an order that differs from the input, as a plan does."""
    random, start = Random(SEED), 0
    order = list(range(1, lines + 1))
    random.shuffle(order)
    with (stack.home / "results" / partial_results_path(batch_id)).open("wb") as file:
        for first in range(0, lines, ROWS_AT_ONCE):
            rows: list[OutcomeRow] = []
            for line in order[first : first + ROWS_AT_ONCE]:
                outcome = _outcome(line, random)
                written = output_line(batch_id, outcome)
                file.write(written)
                rows.append(_row(sequence, outcome, start, len(written)))
                start += len(written)
            await connection.copy_records_to_table("outcome", records=rows, columns=OUTCOME_COLUMNS)
    return start


def _outcome(line: int, random: Random) -> e.Outcome:
    if line % FAILED_EVERY == 0:
        error = e.RequestError(code=RequestFault.REQUEST_TIMEOUT, message="This took too long.")
        return e.Outcome(line=line, custom_id=f"line-{line}", error=error, seconds=30.0)
    said = " ".join(random.choices(WORDS, k=WORDS_AN_ANSWER))
    if line % RARE_EVERY == 0:
        said += f" {RARE_WORD}"
    text = json.dumps({"answer": said}) if line % JSON_EVERY == 0 else said
    finish = "length" if line % CUT_EVERY == 0 else "stop"
    message = {"role": "assistant", "content": text}
    body = {"id": f"chatcmpl-{line}", "model": "generated", "choices": [{"finish_reason": finish, "message": message}]}
    return e.Outcome(
        line=line,
        custom_id=f"line-{line}",
        status_code=200,
        body=msgspec.Raw(json.dumps(body).encode()),
        usage=e.Usage(input_tokens=30, output_tokens=random.randrange(20, 400)),
        seconds=random.random() * 4,
    )


def _row(sequence: int, outcome: e.Outcome, start: int, length: int) -> OutcomeRow:
    return (
        sequence,
        outcome.line,
        start,
        length,
        outcome.custom_id,
        outcome.status_code,
        outcome.error.code.value if outcome.error is not None else None,
        outcome.usage.input_tokens,
        outcome.usage.output_tokens,
        outcome.seconds,
        sequence,
        *facets_of(outcome),
    )


async def _input(stack: RunningStack, connection: asyncpg.Connection, batch_id: str, lines: int) -> None:
    """Write these lines into the input file of the batch, which keeps its name and its row."""
    found = "SELECT file.id, file.blob FROM file JOIN batch ON batch.input_file_id = file.id WHERE batch.id = $1"
    [file] = await connection.fetch(found, batch_id)
    path = stack.home / "blobs" / file["blob"]
    with path.open("wb") as content:
        content.writelines(_request(line) for line in range(1, lines + 1))
    await connection.execute("UPDATE file SET bytes = $2 WHERE id = $1", file["id"], path.stat().st_size)


def _request(line: int) -> bytes:
    body = {
        "model": "generated",
        "messages": [
            {"role": "system", "content": "Answer in one short paragraph."},
            {"role": "user", "content": f"Explain {WORDS[line % len(WORDS)]} in {20 + line % 90} words."},
        ],
    }
    request = {"custom_id": f"line-{line}", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(request).encode() + b"\n"
