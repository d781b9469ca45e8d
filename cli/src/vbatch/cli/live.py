"""The state of a batch, folded from its live events: its status by the server's own rules, its speed and time left from
the times of the events. It prints nothing and reads no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from vbatch.client.core.live_events import ChunkSummary
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus, next_status
from vbatch.gpu_runner.core.choices import DTYPE
from vbatch.gpu_runner.core.profile import SAID

SPEED_WINDOW = timedelta(seconds=30)


LiveEvent = e.AnyEvent | ChunkSummary


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
    """One batch, according to the events seen so far."""

    def __init__(self) -> None:
        self.status = BatchStatus.VALIDATING
        self.models: tuple[ModelId, ...] = ()
        self.loading: ModelId | None = None
        self.loading_since: datetime | None = None
        self.usual_load_seconds: Mapping[ModelId, float] = {}
        """How long earlier loads on this server took. A model that was never loaded is missing."""
        self.remarks: list[str] = []
        self.forecast = ""
        """The server's explanation of the wait, in sentences."""
        self.faults: tuple[e.BatchFault, ...] = ()
        self.created_at: datetime | None = None
        self.last_at: datetime | None = None
        self.counts = e.RequestCounts(total=0, completed=0, failed=0)
        self.usage = e.NO_USAGE
        self._answered: set[int] = set()
        self._samples: deque[Sample] = deque()

    def apply(self, event: LiveEvent) -> None:
        """Fold one event of the batch, or of its runner."""
        match event:
            case ChunkSummary():
                self._count(event)
            case e.ModelLoading() | e.ModelLoaded() | e.ModelFailed() | e.EngineCrashed() | e.ProfileLowered():
                self._hear_runner(event)
                return  # the runner's clock does not show the age of the batch
            case _:
                self.status = next_status(self.status, event)
                self._hear_batch(event)
        self.last_at = event.at

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL

    @property
    def waits(self) -> bool:
        """Return whether the batch waits for answers, so that a forecast is useful."""
        return self.status in (BatchStatus.VALIDATING, BatchStatus.IN_PROGRESS)

    @property
    def answered(self) -> int:
        return self.counts.completed + self.counts.failed

    @property
    def seconds(self) -> float:
        """Return the seconds from its creation to the last event seen."""
        if self.created_at is None or self.last_at is None:
            return 0.0
        return (self.last_at - self.created_at).total_seconds()

    def speed(self) -> Speed:
        """Return the speed over the last `SPEED_WINDOW`, at most since the first dispatch or load; 0 before any
        outcome."""
        if len(self._samples) < 2:
            return Speed(0.0, 0.0)
        first, last = self._samples[0], self._samples[-1]
        seconds = (last.at - first.at).total_seconds()
        if seconds <= 0:
            return Speed(0.0, 0.0)
        return Speed((last.answered - first.answered) / seconds, (last.tokens - first.tokens) / seconds)

    def seconds_left(self) -> float | None:
        """Return the seconds left at the current speed; None while that is unknown."""
        rate = self.speed().requests_per_second
        if rate <= 0 or self.loading or self.status is not BatchStatus.IN_PROGRESS:
            return None
        return (self.counts.total - self.answered) / rate

    def _hear_batch(self, event: e.AnyEvent) -> None:
        match event:
            case e.BatchCreated():
                self.created_at = event.at
            case e.BatchValidated():
                self.counts = e.RequestCounts(total=event.total, completed=0, failed=0)
                self.models = tuple(total.model for total in event.models)
            case e.BatchRejected():
                self.faults = event.faults
            case e.BatchDispatched() if not self._samples:
                self._sample(event.at)
            case e.BatchSealed():
                self.counts, self.usage, self.loading = event.counts, event.usage, None
            case _:
                pass  # changes the status at most

    def _count(self, chunk: ChunkSummary) -> None:
        """Count a chunk. A chunk whose lines all have outcomes changes nothing; the seal brings the exact counts."""
        if self._answered.issuperset(chunk.lines):
            return
        self._answered.update(chunk.lines)
        self.counts = e.RequestCounts(
            total=self.counts.total,
            completed=self.counts.completed + chunk.succeeded,
            failed=self.counts.failed + chunk.failed,
        )
        self.usage += chunk.usage
        self.loading = None
        self._sample(chunk.at)
        while chunk.at - self._samples[0].at > SPEED_WINDOW and len(self._samples) > 2:
            self._samples.popleft()

    def _hear_runner(
        self, event: e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.EngineCrashed | e.ProfileLowered
    ) -> None:
        if event.model not in self.models:
            return
        self.loading = event.model if isinstance(event, e.ModelLoading) else None
        self.loading_since = event.at if self.loading else None
        match event:
            case e.ModelLoading():
                self.remarks += _dtype_remarks(event)
            case e.ModelLoaded():
                self.remarks.append(f"{event.model} loaded in {event.seconds:.1f} s")
            case e.ModelFailed():
                self.remarks.append(f"{event.model} could not be loaded: {event.detail}")
            case e.ProfileLowered():
                self.remarks.append(f"{event.model} ran out of memory; {event.argument} is now {event.after}")
            case e.EngineCrashed():
                self.remarks.append(f"the engine of {event.model} died ({event.detail}); it is started again")
        self._samples.clear()
        self._sample(event.at)

    def _sample(self, at: datetime) -> None:
        self._samples.append(Sample(at, self.answered, self.usage.input_tokens + self.usage.output_tokens))


def _dtype_remarks(event: e.ModelLoading) -> list[str]:
    """Return why its data type was chosen, if the device chose it."""
    chosen = [setting for setting in event.profile if setting.name == DTYPE and setting.reason != SAID]
    return [f"{event.model} in {setting.value}: {setting.reason}" for setting in chosen if setting.value != "auto"]
