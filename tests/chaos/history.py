"""The event log as it grows, read beside the stack for a whole campaign. It survives the server's deaths."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from vbatch.chassis.blobs import open_blobs
from vbatch.contracts import events as e
from vbatch.contracts.codec import decode_outline, encode
from vbatch.contracts.ids import BatchId
from vbatch.journal.archive import HistoricLog
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.settings import JournalSettings

APPEND_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
ENDS = (e.BatchCompleted, e.BatchCancelled, e.BatchExpired, e.BatchRejected)


@dataclass(frozen=True, slots=True)
class Entry:
    """One event where the log has it; `recorded_at` is the server's clock, which is this machine's."""

    sequence: int
    recorded_at: datetime
    event: e.Event


class History:
    """Filled by a thread of its own; lists only grow, so other threads read them without a lock."""

    def __init__(self, log: JournalSettings, archives_url: str) -> None:
        self.entries: list[Entry] = []
        self.created: set[BatchId] = set()
        self.ended: set[BatchId] = set()
        self.last_outcome_at = 0.0
        self.trouble: BaseException | None = None
        self._log = log
        self._archives = open_blobs(archives_url)
        self._loop: asyncio.AbstractEventLoop
        self._journal: JetStreamJournal | None = None
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="history")

    @property
    def unfinished(self) -> set[BatchId]:
        return self.created - self.ended

    def append(self, event: e.Event) -> int:
        """Append as a writer of one's own would; the sequence of the event."""
        assert self._journal is not None
        appended = asyncio.run_coroutine_threadsafe(self._journal.log.append(encode(event, source="chaos")), self._loop)
        return appended.result(APPEND_SECONDS_MAX)

    def _run(self) -> None:
        try:
            asyncio.run(self._read())
        except BaseException as error:  # noqa: BLE001  # whoever asks next shall see why the reading ended
            self.trouble = error

    async def _read(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with connect(self._log) as self._journal:
            reading = asyncio.create_task(self._follow(self._journal))
            await self._stop.wait()
            reading.cancel()
            await asyncio.wait([reading])

    async def _follow(self, journal: JetStreamJournal) -> None:
        async with HistoricLog(journal.log, self._archives).tail(0) as arrivals:
            async for records in arrivals:
                for record in records:
                    self._add(Entry(record.sequence, record.recorded_at, decode_outline(record)))

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        match entry.event:
            case e.ChunkOutline():
                self.last_outcome_at = entry.recorded_at.timestamp()
            case e.BatchCreated(batch_id=batch_id):
                self.created.add(batch_id)
        if isinstance(entry.event, ENDS):
            self.ended.add(entry.event.batch_id)

    @contextmanager
    def running(self) -> Iterator[History]:
        self._thread.start()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while self._journal is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        try:
            yield self
        finally:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
