"""How fast the read model is rebuilt from the log: one batch of many outcomes, replayed into an empty schema.

python -m benchmarks.replay [--outcomes 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from benchmarks import report
from tests.support.nats import nats_server
from tests.support.postgres import running_postgres
from vbatch.chassis.blobs import open_blobs
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId, new_batch_id, new_file_id
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings
from vbatch.results.adapters.generations import PostgresGenerations
from vbatch.results.adapters.partials import FolderOfPartials
from vbatch.results.adapters.postgres import PostgresReadModel, read_model
from vbatch.results.flows.rebuilding import RebuildOptions, rebuild
from vbatch.results.flows.replaying import ReplayDependencies

OUTCOMES = 1_000_000
CHUNK_OUTCOMES = 64
ANSWER_BYTES = 400
MEGABYTE = 1_000_000
SOURCE = "benchmark"
AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
MODEL, RUNNER, OWNER = ModelId("org/model"), RunnerId("gpu0"), OwnerId("local")
BATCH: BatchId = new_batch_id(AT, b"replay")
FILE: FileId = new_file_id(b"replay")


def main(outcomes: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), outcomes))
    target = report.write("replay", ["python", "-m", "benchmarks.replay", f"--outcomes {outcomes}"], figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


async def measure(folder: Path, outcomes: int) -> dict[str, report.Figure]:
    async with nats_server(file_store_max="16GB") as nats:
        async with connect(JournalSettings(url=nats.url, name="benchmark")) as journal:
            await journal.topology()
            log_bytes = await tell(journal, outcomes)
            with running_postgres(folder) as server:
                done = await rebuild(dependencies(folder, server.url(), journal), RebuildOptions())
    return {
        "outcomes": done.outcomes,
        "events": done.sequence,
        "answer_bytes": ANSWER_BYTES,
        "log_megabytes": round(log_bytes / MEGABYTE, 1),
        "replay_seconds": round(done.seconds, 2),
        "outcomes_per_second": round(done.outcomes / done.seconds),
        "megabytes_per_second": round(log_bytes / MEGABYTE / done.seconds, 1),
    }


def dependencies(folder: Path, url: str, journal: Journal) -> ReplayDependencies:
    results = folder / "results"

    def open_model(schema: str, below: str) -> AbstractAsyncContextManager[PostgresReadModel]:
        return read_model(url, schema, below)

    return ReplayDependencies(
        journal=journal,
        generations=PostgresGenerations(url),
        open_model=open_model,
        partials=lambda: FolderOfPartials(results),
        blobs=open_blobs(f"file://{folder}/blobs"),
        folder=results,
        pid=os.getpid(),
        now=lambda: datetime.now(UTC),
        on_progress=lambda progress: None,
    )


async def tell(journal: Journal, outcomes: int, chunk_outcomes: int = CHUNK_OUTCOMES) -> int:
    """Write the life of the batch into the log; return the bytes of its bodies."""
    written = 0
    async with journal.publisher() as publisher:
        for event in story(outcomes, chunk_outcomes):
            message = codec.encode(event, source=SOURCE)
            written += len(message.body)
            await publisher.publish(message)
    return written


def story(outcomes: int, chunk_outcomes: int = CHUNK_OUTCOMES) -> Iterator[e.AnyEvent]:
    yield e.FileStored(
        file_id=FILE, owner=OWNER, purpose="batch", filename="in.jsonl", bytes=1, sha256="", blob="files/in", at=AT
    )
    yield e.BatchCreated(
        batch_id=BATCH,
        owner=OWNER,
        input_file_id=FILE,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        expires_at=AT + timedelta(days=1),
        at=AT,
    )
    totals = (e.ModelTotal(model=MODEL, requests=outcomes, input_bytes=1),)
    yield e.BatchValidated(batch_id=BATCH, total=outcomes, last_line=outcomes, models=totals, at=AT)
    for first in range(1, outcomes + 1, chunk_outcomes):
        yield _chunk(range(first, min(first + chunk_outcomes, outcomes + 1)))


def _chunk(lines: range) -> e.ChunkCompleted:
    return e.ChunkCompleted(
        batch_id=BATCH,
        slice_id=SliceId(f"s-1-{lines[0]}"),
        runner_id=RUNNER,
        epoch=1,
        chunk=1,
        model=MODEL,
        outcomes=tuple(_outcome(line) for line in lines),
        at=AT,
    )


def _outcome(line: int) -> e.Outcome:
    answer = msgspec.json.encode({"id": f"chatcmpl-{line}", "choices": [{"message": {"content": ""}}]})
    padding = b"x" * (ANSWER_BYTES - len(answer))
    body = answer.replace(b'"content":""', b'"content":"' + padding + b'"')
    usage = e.Usage(input_tokens=100, output_tokens=80)
    return e.Outcome(
        line=line, custom_id=f"request-{line}", status_code=200, body=msgspec.Raw(body), usage=usage, seconds=1.5
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=OUTCOMES)
    sys.exit(main(parser.parse_args().outcomes))
