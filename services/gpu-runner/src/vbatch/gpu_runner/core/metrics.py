"""What a runner counts about itself; the metrics adapter exposes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from vbatch.contracts.events import NO_USAGE, Outcome, Usage
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.distribution import Distribution
from vbatch.gpu_runner.core.time_shares import Activity, TimeShares

REQUEST_SECONDS_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
PUBLISH_SECONDS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LOAD_SECONDS_BOUNDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)

MODELS_MAX = 50
OTHER_MODELS = "other"


class SwapReason(StrEnum):
    """Why an engine was brought up."""

    FIRST = "first"
    """It is the first of this process."""
    OTHER_MODEL = "other_model"
    """The work that is due needs another model."""
    RESTART = "restart"
    """The same model again: its engine died, or its definition changed."""


@dataclass(slots=True)
class ModelCounts:
    """Counts of the requests of one model since the start."""

    succeeded_count: int = 0
    failed_count: int = 0
    returned_count: int = 0
    usage: Usage = field(default=NO_USAGE)
    request_seconds: Distribution = field(default_factory=lambda: Distribution(REQUEST_SECONDS_BOUNDS))


@dataclass(slots=True)
class RunnerMetrics:
    """Counts since the start, and the current state."""

    model: str = ""
    concurrency: int = 0
    stats: EngineStats | None = None
    """The engine's stats when they were last read."""
    models: dict[str, ModelCounts] = field(default_factory=dict)
    retried_count: int = 0
    chunk_count: int = 0
    chunk_bytes: int = 0
    engine_start_count: int = 0
    engine_crash_count: int = 0
    model_failed_count: int = 0
    profile_lowered_count: int = 0
    publish_seconds: Distribution = field(default_factory=lambda: Distribution(PUBLISH_SECONDS_BOUNDS))
    """The time from the closing of a chunk until the log confirms that it is stored."""
    load_seconds: dict[SwapReason, Distribution] = field(
        default_factory=lambda: {reason: Distribution(LOAD_SECONDS_BOUNDS) for reason in SwapReason}
    )
    time_shares: TimeShares | None = None
    """None until the runner works."""
    swap_seconds: float = 0.0
    swap_seconds_last: float = 0.0
    first_answer_seconds_last: float = 0.0
    _stopped_feeding_at: float | None = None
    _model_before: str = ""

    def count(self, outcome: Outcome, model: str) -> None:
        of_model = self._of(model)
        if outcome.is_success:
            of_model.succeeded_count += 1
        else:
            of_model.failed_count += 1
        of_model.request_seconds.observe(outcome.seconds)
        if outcome.usage is not NO_USAGE:
            of_model.usage += outcome.usage

    def count_returned(self, lines: int, model: str) -> None:
        self._of(model).returned_count += lines

    def count_swap(self, stopped_feeding_at: float, ready_at: float) -> None:
        """Count a swap: the time from the last request of the previous model, or the first demand for this one, until
        its engine answers. `model` is already the new one."""
        self.swap_seconds_last = ready_at - stopped_feeding_at
        self.swap_seconds += self.swap_seconds_last
        self.load_seconds[self._swap_reason()].observe(self.swap_seconds_last)
        self._model_before = self.model
        self._stopped_feeding_at = stopped_feeding_at

    def turn_to(self, activity: Activity, now: float) -> None:
        """Note that the runner does this from now on."""
        if self.time_shares is None:
            self.time_shares = TimeShares(now)
        self.time_shares.turn_to(activity, now)

    def answered(self, now: float) -> None:
        """Note an answer; only the first one after a swap is measured."""
        if self._stopped_feeding_at is not None:
            self.first_answer_seconds_last = now - self._stopped_feeding_at
            self._stopped_feeding_at = None

    def _of(self, model: str) -> ModelCounts:
        """The counts of a model; models beyond MODELS_MAX share one entry."""
        counts = self.models.get(model)
        if counts is None:
            name = model if len(self.models) < MODELS_MAX else OTHER_MODELS
            counts = self.models.setdefault(name, ModelCounts())
        return counts

    def _swap_reason(self) -> SwapReason:
        if not self._model_before:
            return SwapReason.FIRST
        return SwapReason.RESTART if self._model_before == self.model else SwapReason.OTHER_MODEL
