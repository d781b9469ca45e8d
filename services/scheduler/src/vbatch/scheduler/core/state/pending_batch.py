"""One unfinished batch as the scheduler sees it: what is answered, what is on a runner, what waits.

It is folded in place, because copying a million lines for every event would be too slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.contracts.lifecycle import BatchStatus, Ledger, Steering, next_status, steered
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.state.throughput import Throughput

HOLD = timedelta(seconds=5)
HOLD_MAX = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A line that came back: how often it was sent, and how often an engine died with it inside."""

    attempt: int
    deaths: int


@dataclass(slots=True)
class PendingBatch:
    """`plan` is None until the file is read, also after a restart: the plan is not in the log, it is made again."""

    created: e.BatchCreated
    sequence: int
    file: e.FileStored | None
    status: BatchStatus = BatchStatus.VALIDATING
    cancel_requested_at: datetime | None = None
    ledger: Ledger | None = None
    model: ModelId | None = None
    plan: Plan | None = None
    returned: dict[int, Waiting] = field(default_factory=dict)
    held_until: datetime | None = None
    holds: int = 0
    request_bytes: float = 0.0
    """The average over its requests."""
    has_run: bool = False
    steering: Steering = field(default_factory=Steering)
    throughput: Throughput = field(default_factory=Throughput)
    pause_sequence: int = 0
    """The sequence of the event that paused the batch; 0 while it may run."""
    _total: int = 0
    _sent: bytearray = field(default_factory=bytearray)
    _sent_count: int = 0
    _cursor: int = 0
    arrived: float = field(init=False)
    due: float = field(init=False)
    """`arrived` and `due`: the creation and the end of the window, in seconds since 1970."""

    def __post_init__(self) -> None:
        self.arrived = self.created.at.timestamp()
        self.due = self.created.expires_at.timestamp()

    @property
    def batch_id(self) -> BatchId:
        return self.created.batch_id

    @property
    def is_paused(self) -> bool:
        return self.pause_sequence != 0

    def move(self, event: e.BatchEvent, sequence: int) -> None:
        self.status = next_status(self.status, event)
        self.steering = steered(self.steering, self.status, event)
        self.pause_sequence = (self.pause_sequence or sequence) if self.steering.paused_at is not None else 0

    def open(self, event: e.BatchValidated) -> None:
        self.ledger = Ledger(event.total, event.last_line)
        self._total = event.total
        self.model = event.models[0].model
        self.request_bytes = event.models[0].input_bytes / max(1, event.total)
        self._sent = bytearray(event.last_line + 1)

    def send(self, lines: tuple[int, ...]) -> dict[int, Waiting]:
        """Take lines out of the queue; return them with their history."""
        self.has_run = True
        for line in lines:
            self._sent_count += 1 - self._sent[line]
            self._sent[line] = 1
        return {line: self.returned.pop(line, FIRST) for line in lines}

    def hold(self, at: datetime) -> None:
        """Make the batch wait, longer each time: its lines came back through a fault that is not theirs and that a
        quick retry would not mend."""
        self.holds += 1
        self.held_until = at + min(HOLD * self.holds, HOLD_MAX)

    def take_back(self, line: int, waiting: Waiting) -> None:
        """A line came back: it waits again, unless it has an outcome."""
        if self.ledger is not None and not self.ledger.has(line):
            self.returned[line] = waiting

    @property
    def waiting_count(self) -> int:
        """How many requests are neither answered nor on a runner; requests on a runner count as sent."""
        return len(self.returned) + self._total - self._sent_count if self.has_run else self._total

    def next_lines(self, limit: int) -> tuple[int, ...]:
        """The next lines in plan order that were never sent."""
        return tuple(islice(self._unsent(), limit))

    def never_sent(self, lines: Iterable[int]) -> Iterator[int]:
        """The lines among these that were never sent."""
        return (line for line in lines if not self._sent[line])

    def _unsent(self) -> Iterator[int]:
        if self.plan is None:
            return
        lines, sent = self.plan.order, self._sent
        while self._cursor < len(lines) and sent[lines[self._cursor]]:
            self._cursor += 1  # only a bookmark: a line before it never becomes unsent again
        for index in range(self._cursor, len(lines)):
            if not sent[lines[index]]:
                yield lines[index]


def stop_asked_at(batch: PendingBatch, now: datetime) -> datetime | None:
    """The time since when the batch should no longer run, by its cancel or its expiry; None while it should."""
    if batch.cancel_requested_at is not None:
        return batch.cancel_requested_at
    return batch.created.expires_at if now >= batch.created.expires_at else None


FIRST = Waiting(attempt=1, deaths=0)
