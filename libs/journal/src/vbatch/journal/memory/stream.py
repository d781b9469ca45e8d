"""One stream in memory: what may be stored, and how it is found again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.port import Conflict, Fill, Full, Guard, Rejected
from vbatch.journal.rules import check_filter, check_subject, matches, outgoing_headers, wire_bytes
from vbatch.journal.settings import JournalSettings

Now = Callable[[], datetime]
TAIL_RECORDS_MAX = 1000


class MemoryStream:
    """One stream: records in order, found by subject and by message id."""

    def __init__(self, settings: JournalSettings, now: Now, *, bytes_max: int, message_bytes_max: int) -> None:
        self.records: list[Recorded] = []
        self._settings = settings
        self._now = now
        self._bytes = 0
        self._bytes_max = bytes_max
        self._message_bytes_max = message_bytes_max
        self._last_by_subject: dict[str, int] = {}
        self._by_id: dict[str, Recorded] = {}
        self._purged: set[int] = set()
        self._grown = asyncio.Event()

    def append(self, message: Message, guard: Guard | None = None) -> int:
        return self.append_all([message], guard)

    def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        """Store all messages or none; they are checked as a whole before anything is stored."""
        entries = [self._entry(message) for message in messages]
        last = messages[-1]
        if guard is not None and self.last_on(guard.subject_filter) != guard.sequence:
            return self._own_write(last, guard.subject_filter if len(messages) == 1 else last.subject)
        duplicates = [self._duplicate(message) for message in messages]
        if len(messages) == 1 and duplicates[0] is not None:
            return duplicates[0].sequence
        if any(duplicates):
            return self._own_write(last, last.subject)
        size = sum(wire_bytes(headers, m.body) for m, headers in zip(messages, entries, strict=True))
        if self._bytes + size > self._bytes_max:
            raise Full(f"{last.subject}: maximum bytes exceeded")
        for message, headers in zip(messages, entries, strict=True):
            self._store(message, headers)
        self._bytes += size
        return len(self.records)

    def last(self, subject_filter: str) -> Recorded | None:
        check_filter(subject_filter)
        sequence = self.last_on(subject_filter)
        return self.records[sequence - 1] if sequence else None

    def fill(self) -> Fill:
        return Fill(self._bytes, self._bytes_max)

    def purge(self, subject: str, through: int) -> int:
        """Hide the records of the subject; `records` keeps them, so that a sequence stays a position."""
        check_subject(subject)
        kept = [r for r in self.records if r.subject == subject and r.sequence not in self._purged]
        gone = [record for record in kept if record.sequence <= through]
        self._purged.update(record.sequence for record in gone)
        self._bytes -= sum(wire_bytes(record.headers, record.body) for record in gone)
        if len(gone) == len(kept):
            self._last_by_subject.pop(subject, None)
        return len(gone)

    def last_on(self, subject_filter: str) -> int:
        sequences = (s for subject, s in self._last_by_subject.items() if matches(subject_filter, subject))
        return max(sequences, default=0)

    def after(self, sequence: int, filters: Sequence[str]) -> list[Recorded]:
        """Return the next records on the filters, from a bounded stretch of the log; empty only at its end."""
        for start in range(sequence, len(self.records), TAIL_RECORDS_MAX):
            stretch = [r for r in self.records[start : start + TAIL_RECORDS_MAX] if r.sequence not in self._purged]
            if found := [r for r in stretch if any(matches(f, r.subject) for f in filters)]:
                return found
        return []

    async def grown(self) -> None:
        await self._grown.wait()

    def _entry(self, message: Message) -> dict[str, str]:
        headers = outgoing_headers(message)
        if (size := wire_bytes(headers, message.body)) > self._message_bytes_max:
            raise Rejected(f"{message.subject}: {size} bytes with headers, limit {self._message_bytes_max}")
        return headers

    def _own_write(self, message: Message, subject_filter: str) -> int:
        stored = self.last(subject_filter)
        if stored is None or stored.message_id != message.message_id:
            raise Conflict(f"{message.subject}: wrong last sequence on {subject_filter}, or stored in part")
        return stored.sequence

    def _duplicate(self, message: Message) -> Recorded | None:
        stored = self._by_id.get(message.message_id)
        window = timedelta(seconds=self._settings.duplicate_window_seconds)
        return stored if stored is not None and self._now() - stored.recorded_at <= window else None

    def _store(self, message: Message, headers: dict[str, str]) -> None:
        record = Recorded(len(self.records) + 1, message.subject, headers, message.body, self._now())
        self.records.append(record)
        self._last_by_subject[record.subject] = record.sequence
        self._by_id[message.message_id] = record
        self._grown.set()
        self._grown = asyncio.Event()
