"""One unfinished batch as the scheduler sees it: what is answered, what is on a runner, what waits.

It is folded in place, because copying a million lines for every event would be too slow.
"""

from __future__ import annotations

from collections import Counter
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
    """`plan` is None until the file is read, also after a restart: the plan is not in the log and is made again.

    `model` is the first of its `totals`, which count the requests of each model.
    """

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
    totals: dict[ModelId, int] = field(default_factory=dict)
    is_mixed: bool = False
    """Whether its requests are for several models."""
    has_answer: bool = False
    owes_first_answer: bool = False
    """Whether the event that tells of its first answer is still to be recorded."""
    flaws_told: set[e.Flaw] = field(default_factory=set)
    """The flaws whose share has passed its threshold."""
    is_error_share_told: bool = False
    """Whether the share of requests that failed has passed its threshold."""
    _total: int = 0
    _sent_counts: Counter[ModelId] = field(default_factory=Counter)
    _cursors: dict[ModelId, int] = field(default_factory=dict)
    _sent: bytearray = field(default_factory=bytearray)
    _sent_count: int = 0
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
        self.totals = {total.model: total.requests for total in event.models}
        self.is_mixed = len(self.totals) > 1
        self.model = event.models[0].model
        self.request_bytes = sum(total.input_bytes for total in event.models) / max(1, event.total)
        self._sent = bytearray(event.last_line + 1)

    def send(self, lines: tuple[int, ...], model: ModelId) -> dict[int, Waiting]:
        """Take lines out of the queue; return them with their history."""
        self.has_run = True
        sent_before = self._sent_count
        for line in lines:
            self._sent_count += 1 - self._sent[line]
            self._sent[line] = 1
        self._sent_counts[model] += self._sent_count - sent_before
        return {line: self.returned.pop(line, FIRST) for line in lines}

    def hold(self, at: datetime) -> None:
        """Make the batch wait, longer each time: its lines came back because of a fault that is not theirs and that a
        quick retry would not fix."""
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

    def waiting_models(self) -> list[ModelId]:
        """The models with waiting requests, in the order in which they run."""
        if not self.is_mixed:
            return [self.model] if self.model is not None and self.waiting_count else []
        return [model for model in self.totals if self.waiting_for(model)]

    def waiting_for(self, model: ModelId) -> int:
        """How many waiting requests are for this model."""
        if not self.is_mixed:
            return self.waiting_count
        return self.totals[model] - self._sent_counts[model] + len(self.returned_for(model))

    def returned_for(self, model: ModelId) -> dict[int, Waiting]:
        """The lines for this model that came back; the plan tells which they are if there are several models."""
        plan = self.plan
        if plan is None or not plan.models:
            return self.returned
        return {line: waiting for line, waiting in self.returned.items() if plan.model_of(line) == model}

    def next_lines(self, limit: int, model: ModelId) -> tuple[int, ...]:
        """The next lines for this model, in plan order, that were never sent."""
        return tuple(islice(self._unsent(model), limit))

    def never_sent(self, lines: Iterable[int]) -> Iterator[int]:
        """The lines among these that were never sent."""
        return (line for line in lines if not self._sent[line])

    def _unsent(self, model: ModelId) -> Iterator[int]:
        if self.plan is None:
            return
        lines, sent, part = self.plan.order, self._sent, self.plan.part_of(model)
        cursor = self._cursors.get(model, part.start)
        while cursor < part.stop and sent[lines[cursor]]:
            cursor += 1  # only a bookmark: a line before it never becomes unsent again
        self._cursors[model] = cursor
        for index in range(cursor, part.stop):
            if not sent[lines[index]]:
                yield lines[index]


def stop_asked_at(batch: PendingBatch, now: datetime) -> datetime | None:
    """The time from which the batch should no longer run, because it was cancelled or has expired; None while it should
    run."""
    if batch.cancel_requested_at is not None:
        return batch.cancel_requested_at
    return batch.created.expires_at if now >= batch.created.expires_at else None


FIRST = Waiting(attempt=1, deaths=0)
