"""What a log that is in use for years costs: archive, rebuild from archives, start after many requests, back up,
restore.

python -m benchmarks.lifetime [--outcomes 1000000] [--past 10000000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import replay, report
from tests.support.nats import nats_server
from tests.support.postgres import free_port, running_postgres
from vbatch.chassis.blobs import open_blobs
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId, SliceId, new_batch_id
from vbatch.contracts.message import Message
from vbatch.journal.archive import HistoricJournal, HistoricLog
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.settings import JournalSettings
from vbatch.journal.single_writer import SingleWriter
from vbatch.local.backups import back_up, restore
from vbatch.local.settings import LocalSettings
from vbatch.results.flows.archiving import ArchiveMeans, Archiver
from vbatch.results.flows.rebuilding import RebuildOptions, rebuild
from vbatch.results.flows.sealing import SOURCE
from vbatch.results.flows.serving import lease

OUTCOMES, PAST = 1_000_000, 10_000_000
SLICE_LINES = 512
BATCH_REQUESTS = 50_000
FOREGROUND_SECONDS, FOREGROUND_PAUSE_SECONDS = 3.0, 0.01
FOREGROUND_BYTES = 64_000
START_SECONDS_MAX = 300.0
MEGABYTE = 1_000_000

Figures = dict[str, report.Figure]


def main(outcomes: int, past: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), outcomes, past))
    command = ["python", "-m", "benchmarks.lifetime", f"--outcomes {outcomes}", f"--past {past}"]
    target = report.write("lifetime", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<44} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


async def measure(folder: Path, outcomes: int, past: int) -> Figures:
    figures: Figures = {"outcomes": outcomes, "answer_bytes": replay.ANSWER_BYTES}
    async with nats_server(file_store_max="16GB") as nats:
        async with connect(JournalSettings(url=nats.url, name="benchmark")) as journal:
            await journal.topology()
            figures |= {"scheduler_start_seconds_at_0": scheduler_start(folder, nats.url)}
            figures |= await archived(folder, journal, outcomes)
            figures |= await rebuilt(folder, journal)
            figures |= {f"scheduler_start_seconds_at_{outcomes}": scheduler_start(folder, nats.url)}
            figures |= await backed_up(folder, nats.url)
            await write_past(journal, past)
            figures |= {"past_requests": past, f"scheduler_start_seconds_at_{past}": scheduler_start(folder, nats.url)}
    return figures


async def archived(folder: Path, journal: JetStreamJournal, outcomes: int) -> Figures:
    """Archive one batch while other events are appended."""
    await replay.tell(journal, outcomes)
    await append(journal, [*dispatches(replay.BATCH, outcomes), *ending(replay.BATCH, outcomes)])
    before = (await journal.log.fill()).bytes
    blobs = open_blobs(f"file://{folder}/blobs")
    writer = SingleWriter(journal, SOURCE)
    await writer.take_lease(lease(os.getpid(), datetime.now(UTC)))
    means = ArchiveMeans(journal.log, HistoricLog(journal.log, blobs), journal.log, journal.dead, blobs, 1.0, 0.0)
    alone = await foreground(journal, asyncio.sleep(FOREGROUND_SECONDS))
    added = (await journal.log.fill()).bytes
    started = time.perf_counter()
    archiver = Archiver(means, writer, now=lambda: datetime.now(UTC), gone=_nothing)
    during = await foreground(journal, archiver.round())
    seconds = time.perf_counter() - started
    await journal.log.purge(FOREGROUND_SUBJECT, await journal.log.last_sequence())
    after = (await journal.log.fill()).bytes
    await writer.take_lease(lease(os.getpid(), datetime.now(UTC)))  # readers wait for the last event of a log
    archive = sum([await blobs.size(name) for name in await blobs.older_than(-1, "archives")])
    return {
        "log_megabytes_before": round(before / MEGABYTE, 1),
        "archive_megabytes": round(archive / MEGABYTE, 1),
        "archived_outcomes_per_second": round(outcomes / seconds),
        "log_bytes_per_request_after_archive": round(after / outcomes, 2),
        "foreground_append_milliseconds_alone": round(1e3 * statistics.median(alone), 2),
        "foreground_append_milliseconds_p99_alone": round(1e3 * statistics.quantiles(alone, n=100)[-1], 2),
        "foreground_append_milliseconds_p99_during": round(1e3 * statistics.quantiles(during, n=100)[-1], 2),
        "foreground_slowdown": round(statistics.median(during) / statistics.median(alone), 2),
        "foreground_bytes_appended": added - before,
    }


async def rebuilt(folder: Path, journal: JetStreamJournal) -> Figures:
    """Make the read model from the archive and what is left of the log."""
    with running_postgres(folder) as server:
        historic = HistoricJournal(journal, open_blobs(f"file://{folder}/blobs"))
        done = await rebuild(replay.dependencies(folder, server.url(), historic), RebuildOptions())
    return {"rebuilt_outcomes": done.outcomes, "rebuild_outcomes_per_second": round(done.outcomes / done.seconds)}


async def backed_up(folder: Path, url: str) -> Figures:
    """Back up into a folder on the same disk, then restore onto another server."""
    target = open_blobs(f"file://{folder}/backup")
    settings = LocalSettings(home=folder, nats_url=url)
    started = time.perf_counter()
    manifest = await back_up(settings, target)
    took = time.perf_counter() - started
    started = time.perf_counter()
    await back_up(settings, target)
    again = time.perf_counter() - started
    async with nats_server(file_store_max="16GB") as empty:
        started = time.perf_counter()
        await restore(LocalSettings(home=folder / "restored", nats_url=empty.url), target, None)
        back = time.perf_counter() - started
    return {
        "backup_megabytes": round(manifest.bytes / MEGABYTE, 1),
        "backup_mb_per_second": round(manifest.bytes / MEGABYTE / took, 1),
        "backup_unchanged_seconds": round(again, 2),
        "restore_seconds": round(back, 2),
    }


FOREGROUND_SUBJECT = "evt.batch.foreground.chunk_completed"


async def foreground(journal: JetStreamJournal, work: Awaitable[object]) -> list[float]:
    """The seconds of each append while `work` runs."""
    seconds: list[float] = []
    task = asyncio.ensure_future(work)
    while not task.done():
        started = time.perf_counter()
        await journal.log.append(Message(FOREGROUND_SUBJECT, os.urandom(FOREGROUND_BYTES), os.urandom(8).hex()))
        seconds.append(time.perf_counter() - started)
        await asyncio.sleep(FOREGROUND_PAUSE_SECONDS)
    await task
    return seconds


async def write_past(journal: JetStreamJournal, requests: int) -> None:
    """Write what the log keeps of batches that were archived."""
    for number in range(requests // BATCH_REQUESTS):
        batch = new_batch_id(replay.AT, b"past%6d" % number)
        await append(journal, past_batch(batch))


def past_batch(batch: BatchId) -> Iterator[e.AnyEvent]:
    for event in replay.story(0):
        if isinstance(event, e.BatchCreated):
            yield _of(event, batch)
    models = (e.ModelTotal(model=replay.MODEL, requests=BATCH_REQUESTS, input_bytes=1),)
    yield e.BatchValidated(batch_id=batch, total=BATCH_REQUESTS, last_line=BATCH_REQUESTS, models=models, at=replay.AT)
    yield from dispatches(batch, BATCH_REQUESTS)
    yield from ending(batch, BATCH_REQUESTS)
    yield e.BatchArchived(
        batch_id=batch,
        blob=f"archives/{batch}.jsonl.zst",
        bytes=1,
        sha256=batch,
        first_sequence=1,
        last_sequence=1,
        event_count=1,
        outcome_count=BATCH_REQUESTS,
        at=replay.AT,
    )


def dispatches(batch: BatchId, requests: int) -> Iterator[e.AnyEvent]:
    for first in range(1, requests + 1, SLICE_LINES):
        yield e.BatchDispatched(
            batch_id=batch,
            slice_id=SliceId(f"s-{batch}-{first}"),
            runner_id=replay.RUNNER,
            epoch=1,
            model=replay.MODEL,
            lines=tuple(range(first, min(first + SLICE_LINES, requests + 1))),
            attempt=1,
            reason="the only batch",
            at=replay.AT,
        )


def ending(batch: BatchId, requests: int) -> Iterator[e.AnyEvent]:
    yield e.BatchFinalizing(batch_id=batch, ending=e.Ending.COMPLETED, never_ran_count=0, at=replay.AT)
    counts = e.RequestCounts(total=requests, completed=requests, failed=0)
    yield e.BatchCompleted(batch_id=batch, counts=counts, usage=e.NO_USAGE, at=replay.AT)


def _of(event: e.BatchCreated, batch: BatchId) -> e.BatchCreated:

    return msgspec.structs.replace(event, batch_id=batch)


async def append(journal: JetStreamJournal, events: Iterator[e.AnyEvent] | list[e.AnyEvent]) -> None:
    async with journal.publisher() as publisher:
        for event in events:
            await publisher.publish(codec.encode(event, source=replay.SOURCE))


def scheduler_start(folder: Path, url: str) -> float:
    """Seconds from the start of the process until it is ready: it has the lease and has folded the log."""
    port = free_port()
    environment = {"VBATCH_HOME": str(folder), "VBATCH_NATS_URL": url, "VBATCH_SCHEDULER_PORT": str(port)}
    started = time.perf_counter()
    with (folder / "scheduler.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vbatch.scheduler"], env=os.environ | environment, stdout=log, stderr=log
        )
    try:
        while not _is_ready(f"http://127.0.0.1:{port}/ready"):
            if time.perf_counter() - started > START_SECONDS_MAX or process.poll() is not None:
                raise RuntimeError((folder / "scheduler.log").read_text()[-2000:])
            time.sleep(0.02)
        return round(time.perf_counter() - started, 2)
    finally:
        process.terminate()
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


async def _nothing() -> dict[BatchId, set[str]]:
    return {}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--outcomes", type=int, default=OUTCOMES)
    parser.add_argument("--past", type=int, default=PAST)
    given = parser.parse_args()
    sys.exit(main(given.outcomes, given.past))
