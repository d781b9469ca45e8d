"""What a batch is doing, folded from its events: the same law of status and counting as the server's, then speed and
time left from the events' own times. Shows nothing and knows no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus, Ledger, next_status

SPEED_WINDOW = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Speed:
    requests_per_second: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Sample:
    at: datetime
    answered: int
    tokens: int


class Progress:
    """One batch, as far as its events have been seen."""

    def __init__(self) -> None:
        self.status = BatchStatus.VALIDATING
        self.models: tuple[ModelId, ...] = ()
        self.loading: ModelId | None = None
        self.remarks: list[str] = []
        self.faults: tuple[e.BatchFault, ...] = ()
        self.created_at: datetime | None = None
        self.last_at: datetime | None = None
        self._ledger: Ledger | None = None
        self._samples: deque[Sample] = deque()

    def apply(self, event: e.Event) -> None:
        """Fold one event of the batch, or of the runner that works for it."""
        self.status = next_status(self.status, event)
        match event:
            case e.BatchCreated():
                self.created_at = event.at
            case e.BatchValidated():
                self._start(event)
            case e.BatchRejected():
                self.faults = event.faults
            case e.ChunkCompleted() | e.ChunkOutline():
                self._count(event)
            case e.BatchFinalizing() if self._ledger:
                self._ledger.close()
            case e.ModelLoading() | e.ModelLoaded() | e.ModelFailed() | e.EngineCrashed():
                self._watch_runner(event)
            case _:
                pass  # moves the status at most
        if not isinstance(event, e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.EngineCrashed):
            self.last_at = event.at

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def counts(self) -> e.RequestCounts:
        return self._ledger.counts if self._ledger else e.RequestCounts(total=0, completed=0, failed=0)

    @property
    def answered(self) -> int:
        return self._ledger.answered if self._ledger else 0

    @property
    def usage(self) -> e.Usage:
        return self._ledger.usage if self._ledger else e.NO_USAGE

    @property
    def seconds(self) -> float:
        """From created to the last event seen."""
        if self.created_at is None or self.last_at is None:
            return 0.0
        return (self.last_at - self.created_at).total_seconds()

    def speed(self) -> Speed:
        """Over the last `SPEED_WINDOW` of outcomes; 0 until two moments are known."""
        if len(self._samples) < 2:
            return Speed(0.0, 0.0)
        first, last = self._samples[0], self._samples[-1]
        seconds = (last.at - first.at).total_seconds()
        if seconds <= 0:
            return Speed(0.0, 0.0)
        return Speed((last.answered - first.answered) / seconds, (last.tokens - first.tokens) / seconds)

    def seconds_left(self) -> float | None:
        """At the present speed; None while that cannot be known."""
        rate = self.speed().requests_per_second
        if rate <= 0 or self.loading or self.status is not BatchStatus.IN_PROGRESS:
            return None
        return (self.counts.total - self.answered) / rate

    def _start(self, event: e.BatchValidated) -> None:
        self._ledger = Ledger(event.total, event.last_line)
        self.models = tuple(total.model for total in event.models)

    def _count(self, chunk: e.ChunkCompleted | e.ChunkOutline) -> None:
        if self._ledger is None:
            return
        for outcome in chunk.outcomes:
            self._ledger.record(outcome)
        self.loading = None
        usage = self._ledger.usage
        self._samples.append(Sample(chunk.at, self.answered, usage.input_tokens + usage.output_tokens))
        while chunk.at - self._samples[0].at > SPEED_WINDOW and len(self._samples) > 2:
            self._samples.popleft()

    def _watch_runner(self, event: e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.EngineCrashed) -> None:
        if event.model not in self.models:
            return
        match event:
            case e.ModelLoading():
                self.loading = event.model
            case e.ModelLoaded():
                self.loading = None
                self.remarks.append(f"{event.model} loaded in {event.seconds:.1f} s")
            case e.ModelFailed():
                self.loading = None
                self.remarks.append(f"{event.model} could not be loaded: {event.detail}")
            case e.EngineCrashed():
                self.remarks.append(f"the engine of {event.model} died ({event.detail}); it is started again")
        self._samples.clear()
