"""What one stream and one results process can handle, with a real nats-server that syncs every write and a real
PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import replay
from tests.support.nats import nats_server
from vbatch.contracts import codec
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal
from vbatch.journal.settings import JournalSettings

ALONE = 300
"""How many events are appended one after another, as a scheduler appends its decisions."""
CHUNK_OUTCOMES = 11
"""What each of 512 devices answers in half a second at 10^9 requests a day."""
SOURCE = "benchmark"


@dataclass(frozen=True, slots=True)
class LogCosts:
    """`append_ms` is the median time from the request until the event is stored, one event at a time."""

    append_ms: float
    events_a_second: float
    megabytes_a_second: float
    results_outcomes_a_second: float
    results_events_a_second: float


async def log_costs(folder: Path, outcomes: int) -> LogCosts:
    """Measure the log. The stream gets chunks of few answers, as a large fleet writes them; answers have 400 bytes."""
    async with (
        nats_server(file_store_max="16GB") as nats,
        connect(JournalSettings(url=nats.url, name="benchmark")) as journal,
    ):
        await journal.topology()
        append_ms = await _one_by_one(journal)
        began = perf_counter()
        written = await replay.tell(journal, outcomes, CHUNK_OUTCOMES)
        seconds = perf_counter() - began
    rebuilt = await replay.measure(folder, outcomes)
    return LogCosts(
        append_ms=append_ms,
        events_a_second=outcomes / CHUNK_OUTCOMES / seconds,
        megabytes_a_second=written / replay.MEGABYTE / seconds,
        results_outcomes_a_second=float(rebuilt["outcomes_per_second"] or 0),
        results_events_a_second=float(rebuilt["events"] or 0) / float(rebuilt["replay_seconds"] or 1),
    )


async def _one_by_one(journal: Journal) -> float:
    taken = list[float]()
    for event in islice(replay.story(ALONE * CHUNK_OUTCOMES, CHUNK_OUTCOMES), ALONE):
        message = codec.encode(event, source=SOURCE)
        began = perf_counter()
        await journal.log.append(message)
        taken.append(1000 * (perf_counter() - began))
    return median(taken)
