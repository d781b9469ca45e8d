"""What a runner counts about itself; whoever exposes figures reads them here."""

from __future__ import annotations

from dataclasses import dataclass, field

from vbatch.contracts.events import NO_USAGE, Outcome, Usage
from vbatch.gpu_runner.core.concurrency import EngineStats


@dataclass(slots=True)
class RunnerMetrics:
    """Counts since start, and what is so right now."""

    model: str = ""
    concurrency: int = 0
    stats: EngineStats | None = None
    """Of the engine, as it was last asked."""
    succeeded_count: int = 0
    failed_count: int = 0
    returned_count: int = 0
    retried_count: int = 0
    usage: Usage = field(default=NO_USAGE)
    chunk_count: int = 0
    chunk_bytes: int = 0
    engine_start_count: int = 0
    engine_crash_count: int = 0
    model_failed_count: int = 0
    swap_seconds: float = 0.0
    swap_seconds_last: float = 0.0
    first_answer_seconds_last: float = 0.0
    _stopped_feeding_at: float | None = None

    def count(self, outcome: Outcome) -> None:
        self.succeeded_count += outcome.is_success
        self.failed_count += not outcome.is_success
        if outcome.usage is not NO_USAGE:
            self.usage += outcome.usage

    def count_swap(self, stopped_feeding_at: float, ready_at: float) -> None:
        """From the last request of the model before, or the first wish for this one, until its engine answers."""
        self.swap_seconds_last = ready_at - stopped_feeding_at
        self.swap_seconds += self.swap_seconds_last
        self._stopped_feeding_at = stopped_feeding_at

    def answered(self, now: float) -> None:
        """Only the first answer after a swap is of interest."""
        if self._stopped_feeding_at is not None:
            self.first_answer_seconds_last = now - self._stopped_feeding_at
            self._stopped_feeding_at = None
