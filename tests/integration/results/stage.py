"""Everything around results for its tests: a story in the log, the process itself, and what must come out."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec

from tests.support.events import MODEL, NOON, OWNER, RUNNER
from vbatch.chassis.blobs import Blobs, open_blobs
from vbatch.contracts import codec, events as e
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import BatchId, FileId, SliceId, new_batch_id, new_file_id
from vbatch.contracts.lines import never_ran_line, output_line
from vbatch.contracts.read_model import SCHEMA, partial_results_path
from vbatch.journal.port import Journal
from vbatch.results.adapters.partials import FolderOfPartials
from vbatch.results.adapters.postgres import read_model
from vbatch.results.flows.archiving import ArchiveMeans
from vbatch.results.flows.retaining import RetentionMeans
from vbatch.results.flows.serving import Dependencies, Progress, serve
from vbatch.results.flows.sweeping import SweepTimes

WAIT_SECONDS = 30.0
POLL_SECONDS = 0.02
CHUNK_OUTCOMES = 8


@dataclass
class Story:
    """One batch of `total` lines; `answered` of them have an outcome, told last line first and each chunk twice."""

    number: int
    total: int
    answered: int | None = None
    padding: int = 0
    batch_id: BatchId = field(init=False)
    file_id: FileId = field(init=False)

    def __post_init__(self) -> None:
        self.batch_id = new_batch_id(NOON, self.number.to_bytes(10, "big"))
        self.file_id = new_file_id(self.number.to_bytes(16, "big"))

    @property
    def input_blob(self) -> str:
        return f"files/{self.file_id}"

    def input_file(self) -> bytes:
        """With a byte order mark, a blank line at the end of every ten, and Windows line ends."""
        lines = [msgspec.json.encode(self._request(line)) if line % 10 else b"" for line in self._physical()]
        return b"\xef\xbb\xbf" + b"\r\n".join(lines)

    def request_lines(self) -> list[int]:
        return [line for line in self._physical() if line % 10]

    def outcomes(self) -> list[e.Outcome]:
        return [self._outcome(line) for line in self.request_lines()[: self.answered]]

    def opening(self) -> list[e.AnyEvent]:
        return [
            e.FileStored(
                file_id=self.file_id,
                owner=OWNER,
                purpose="batch",
                filename="in.jsonl",
                bytes=len(self.input_file()),
                sha256="00" * 32,
                blob=self.input_blob,
                at=NOON,
            ),
            e.BatchCreated(
                batch_id=self.batch_id,
                owner=OWNER,
                input_file_id=self.file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"z": "last", "a": "nul \0"},
                expires_at=NOON,
                at=NOON,
            ),
            e.BatchValidated(
                batch_id=self.batch_id,
                total=self.total,
                last_line=self.request_lines()[-1],
                models=(e.ModelTotal(model=MODEL, requests=self.total, input_bytes=1),),
                at=NOON,
            ),
        ]

    def chunks(self) -> list[e.AnyEvent]:
        outcomes = self.outcomes()[::-1]
        parts = [outcomes[at : at + CHUNK_OUTCOMES] for at in range(0, len(outcomes), CHUNK_OUTCOMES)]
        first = [self._chunk(1, number, part) for number, part in enumerate(parts, 1)]
        again = [self._chunk(2, number, part[::-1]) for number, part in enumerate(parts, 1)]
        return [chunk for pair in zip(first, again, strict=True) for chunk in pair]

    def finalizing(self, ending: e.Ending = e.Ending.COMPLETED) -> e.AnyEvent:
        never = self.total - len(self.outcomes())
        return e.BatchFinalizing(batch_id=self.batch_id, ending=ending, never_ran_count=never, at=NOON)

    def sealed(self) -> e.AnyEvent:
        """As results would write it, without files."""
        counts = e.RequestCounts(total=self.total, completed=self.total, failed=0)
        return e.BatchCompleted(batch_id=self.batch_id, counts=counts, usage=e.NO_USAGE, at=NOON)

    def cancel_requested(self) -> e.AnyEvent:
        return e.BatchCancelRequested(batch_id=self.batch_id, at=NOON)

    def late(self) -> e.AnyEvent:
        """An outcome for every line, after counting is over."""
        return self._chunk(3, 1, [self._outcome(line) for line in self.request_lines()])

    def files(self, fault: RequestFault | None = None) -> dict[str, bytes]:
        """What the sealed files must hold."""
        contents = {"output": b"", "error": b""}
        outcomes = {outcome.line: outcome for outcome in self.outcomes()}
        for line in self.request_lines():
            if line in outcomes:
                kind = "output" if outcomes[line].is_success else "error"
                contents[kind] += output_line(self.batch_id, outcomes[line])
            elif fault is not None:
                contents["error"] += never_ran_line(self.batch_id, line, f"request-{line}", fault)
        return {kind: content for kind, content in contents.items() if content}

    def _physical(self) -> range:
        return range(1, self.total + (self.total - 1) // 9 + 1)

    def _request(self, line: int) -> dict[str, Any]:
        body = {"model": MODEL, "messages": []}
        return {"custom_id": f"request-{line}", "method": "POST", "url": "/v1/chat/completions", "body": body}

    def _outcome(self, line: int) -> e.Outcome:
        usage = e.Usage(input_tokens=line, output_tokens=2, cached_tokens=1)
        custom_id = f"request-{line}"
        if line % 7 == 0:
            error = e.RequestError(code=RequestFault.REQUEST_TIMEOUT, message="This took too long.")
            return e.Outcome(line=line, custom_id=custom_id, error=error)
        body = msgspec.json.encode({"id": f"answer {line}", "text": "Größe\u2028\x00" + "x" * self.padding})
        code = 400 if line % 5 == 0 else 200
        return e.Outcome(
            line=line, custom_id=custom_id, status_code=code, body=msgspec.Raw(body), usage=usage, seconds=0.5
        )

    def _chunk(self, slice_number: int, number: int, outcomes: Sequence[e.Outcome]) -> e.AnyEvent:
        return e.ChunkCompleted(
            batch_id=self.batch_id,
            slice_id=SliceId(f"s-{self.number}-{slice_number}"),
            runner_id=RUNNER,
            epoch=1,
            chunk=number,
            model=MODEL,
            outcomes=tuple(outcomes),
            at=NOON,
        )


@dataclass(frozen=True)
class Place:
    """Where one results process keeps its things."""

    home: Path
    nats_url: str
    postgres_url: str
    schema: str = SCHEMA
    sweep_seconds: float = 3600.0
    grace_seconds: float = 3600.0

    @property
    def blobs(self) -> Blobs:
        return open_blobs(f"file://{self.home}/blobs")

    async def put_input(self, story: Story) -> None:
        async with self.blobs.writer(story.input_blob) as writer:
            await writer.write(story.input_file())

    async def sealed_files(self, story: Story) -> dict[str, bytes]:
        """By kind, as the file rows of the batch say."""
        rows = await self.rows("file", f"batch_id = '{story.batch_id}' AND purpose = 'batch_output'")
        contents = {}
        for row in rows:
            kind = row["filename"].removeprefix(f"{story.batch_id}_").removesuffix(".jsonl")
            contents[kind] = await self.blobs.read_range(row["blob"], 0, row["bytes"])
        return contents

    def partial(self, story: Story) -> bytes:
        return self.partial_path(story).read_bytes()

    def partial_path(self, story: Story) -> Path:
        return self.home / "results" / partial_results_path(story.batch_id)

    async def rows(self, table: str, where: str = "true") -> list[dict[str, Any]]:
        async with self.connected() as connection:
            found = await connection.fetch(f"SELECT * FROM {table} WHERE {where}")
            return sorted((dict(row) for row in found), key=lambda row: list(row.values())[:2])

    async def status(self, story: Story) -> str | None:
        async with self.connected() as connection:
            status: str | None = await connection.fetchval("SELECT status FROM batch WHERE id = $1", story.batch_id)
            return status

    async def has_status(self, story: Story, status: str) -> None:
        await eventually(lambda: self._has_status(story, status))

    async def has_projected(self, sequence: int) -> None:
        await eventually(lambda: self._has_projected(sequence))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        connection = await asyncpg.connect(self.postgres_url, server_settings={"search_path": self.schema})
        try:
            yield connection
        finally:
            await connection.close()

    async def _has_status(self, story: Story, status: str) -> bool:
        return await self.status(story) == status

    async def _has_projected(self, sequence: int) -> bool:
        rows = await self.rows("(SELECT sequence, 0 FROM checkpoint) AS it")
        return bool(rows[0]["sequence"] >= sequence)


async def tell(journal: Journal, events: Sequence[e.AnyEvent]) -> int:
    sequence = 0
    for event in events:
        sequence = await journal.log.append(codec.encode(event, source="test"))
    return sequence


async def eventually(is_so: Callable[[], Any]) -> None:
    """Wait for what another process does. A database that is not there yet says no."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with suppress(OSError, asyncpg.PostgresError, aiohttp.ClientError):
                if await is_so():
                    return
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def results_running(
    place: Place, journal: Journal, archive: ArchiveMeans | None = None, retention: RetentionMeans | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Results inside the test; the block may await the task to see how it ends."""
    async with read_model(place.postgres_url, place.schema) as model:
        folder = place.home / "results"
        world = Dependencies(
            journal=journal,
            read_model=model,
            partials=FolderOfPartials(folder),
            blobs=place.blobs,
            folder=folder,
            pid=os.getpid(),
            now=lambda: datetime.now(UTC),
            on_committed=lambda committed: None,
            on_sealed=lambda event, size: None,
            on_dead_letters=lambda count: None,
            sweep_times=SweepTimes(every_seconds=place.sweep_seconds, grace_seconds=place.grace_seconds),
            archive=archive,
            retention=retention,
        )
        task = asyncio.create_task(serve(world, Progress()))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


@contextmanager
def results_process(place: Place, log: Path, port: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m vbatch.results` as a child, in its own folder; killed at the end."""
    environment = {
        "VBATCH_HOME": str(place.home),
        "VBATCH_NATS_URL": place.nats_url,
        "VBATCH_POSTGRES_URL": place.postgres_url,
        "VBATCH_RESULTS_PORT": str(port),
        "VBATCH_PARENT_DEATH": "1",
    }
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "vbatch.results"], env=os.environ | environment, stdout=out, stderr=out
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
