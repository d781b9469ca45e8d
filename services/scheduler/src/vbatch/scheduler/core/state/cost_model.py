"""How long things take, measured from the log: the cost of a request, the speed of a model on a device, the cost of a
swap, the service each owner had. It is folded like all state, so a restarted scheduler has the same knowledge.

Work is counted in units, tokens weighted by what they cost the device, since requests differ too much to be counted by
number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import exp, exp2, sqrt

from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId, OwnerId, RunnerId

REQUEST_UNITS, OUTPUT_WEIGHT = 16.0, 2.0
"""A request costs something even without tokens; an output token costs two input tokens (Sheng et al. 2024, VTC)."""
BYTES_A_TOKEN = 4.0
OUTPUT_TOKENS_UNKNOWN = 200.0
"""The assumed output of a request until one of its model has finished."""
UNITS_A_SECOND_UNKNOWN = 1_000.0
"""The assumed speed, that of a modest device, until it is measured."""
SWAP_SECONDS_UNKNOWN = 30.0
SWAP_NEWS = 0.3
"""The weight of the latest load of a model against all earlier ones."""
RATE_MEMORY_SECONDS = 600.0
"""Busy time after which a measurement has faded to a third."""
RATE_TRUSTED_SECONDS = 10.0
"""Busy time before a measured rate counts as known."""
THROUGHPUT_TRUSTED_SECONDS = 1.0
"""Busy time before a rate sets the size of slices, which has bounds of its own."""
PRIOR_REQUESTS = 6.0
"""How many finished requests it takes until a batch's own length weighs as much as its model's."""
ERROR_NEW = 0.5
"""Relative error of a batch before any request has finished: batches of one model differ by this much."""
SERVICE_HALF_LIFE_SECONDS = 3600.0
SHARE_MAX = 4.0
"""The weight of an owner's batches is at most this many times that of a fair share, and at least its inverse."""
SHARE_SLACK_SECONDS = 60.0
"""Service below this is not an unfairness worth acting on."""


@dataclass(slots=True)
class ModelSpeed:
    """The service of one model as fading sums: units, requests and output tokens over busy seconds."""

    units: float = 0.0
    requests: float = 0.0
    output_tokens: float = 0.0
    seconds: float = 0.0

    def add(self, outcomes: Iterable[e.Outcome | e.OutcomeOutline], seconds: float) -> None:
        fade = exp(-seconds / RATE_MEMORY_SECONDS)
        self.units *= fade
        self.requests *= fade
        self.output_tokens *= fade
        self.seconds = self.seconds * fade + seconds
        for outcome in outcomes:
            self.units += units(1, outcome.usage)
            self.requests += 1
            self.output_tokens += outcome.usage.output_tokens

    @property
    def is_known(self) -> bool:
        return self.seconds >= RATE_TRUSTED_SECONDS and self.units > 0.0

    @property
    def units_a_second(self) -> float:
        return self.units / self.seconds if self.is_known else UNITS_A_SECOND_UNKNOWN

    @property
    def requests_a_second(self) -> float | None:
        return self.requests / self.seconds if self.is_known else None


@dataclass(frozen=True, slots=True)
class Service:
    """Seconds of device time that an owner had; half of it fades every hour."""

    seconds: float
    at: float

    def by(self, now: float) -> float:
        return self.seconds * exp2(-max(0.0, now - self.at) / SERVICE_HALF_LIFE_SECONDS)


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Turns requests of one model into seconds. `prior_units` is the cost of a request without its input before any
    request of its batch has finished; `doubt` is the relative error at that time."""

    seconds_a_unit: float
    prior_units: float
    doubt: float

    def seconds(self, requests: float, request_bytes: float, finished: int = 0, finished_units: float = 0.0) -> float:
        """The seconds for this many requests of a batch; the more of it have finished, the more they alone count."""
        prior = self.prior_units + request_bytes / BYTES_A_TOKEN
        a_request = (PRIOR_REQUESTS * prior + finished_units) / (PRIOR_REQUESTS + finished)
        return requests * a_request * self.seconds_a_unit

    def error(self, finished: int) -> float:
        """The relative error of that estimate."""
        return self.doubt * sqrt(PRIOR_REQUESTS / (PRIOR_REQUESTS + finished)) if finished else self.doubt


@dataclass(frozen=True, slots=True)
class CostModel:
    speeds: dict[ModelId, ModelSpeed] = field(default_factory=dict)
    swap_seconds: dict[ModelId, float] = field(default_factory=dict)
    services: dict[OwnerId, Service] = field(default_factory=dict)
    _busy_since: dict[RunnerId, datetime] = field(default_factory=dict)

    def began(self, runner_id: RunnerId, at: datetime) -> None:
        """The runner has work from now on; a runner that already had some keeps running."""
        self._busy_since.setdefault(runner_id, at)

    def paused(self, runner_id: RunnerId) -> None:
        """The runner has no work, or its engine is gone: the time until it begins again counts as service for no
        owner."""
        self._busy_since.pop(runner_id, None)

    def loaded(self, event: e.ModelLoaded) -> None:
        """The device serves from here on; loading is not service."""
        before = self.swap_seconds.get(event.model, event.seconds)
        self.swap_seconds[event.model] = before + SWAP_NEWS * (event.seconds - before)
        if event.runner_id in self._busy_since:
            self._busy_since[event.runner_id] = event.at

    def served(self, event: e.ChunkOutline | e.ChunkCompleted, owner: OwnerId | None) -> None:
        """Answers came: they took the busy time since the previous answers."""
        since = self._busy_since.get(event.runner_id)
        if since is None:
            return
        seconds = max(0.0, (event.at - since).total_seconds())
        self._busy_since[event.runner_id] = max(event.at, since)
        self.speeds.setdefault(event.model, ModelSpeed()).add(event.outcomes, seconds)
        if owner is not None:
            now = event.at.timestamp()
            before = self.services.get(owner)
            self.services[owner] = Service((before.by(now) if before else 0.0) + seconds, now)

    def requests_a_second(self, model: ModelId | None) -> float:
        """The recently measured rate, rough at first; 0 while nothing is known."""
        speed = self.speeds.get(model) if model is not None else None
        return speed.requests / speed.seconds if speed and speed.seconds >= THROUGHPUT_TRUSTED_SECONDS else 0.0

    @property
    def swap_default(self) -> float:
        """The mean swap of the measured models, in seconds."""
        known = self.swap_seconds.values()
        return sum(known) / len(known) if known else SWAP_SECONDS_UNKNOWN

    def is_measured(self, model: ModelId | None) -> bool:
        """Whether the model's speed is more than a guess."""
        return model is not None and self.speeds.get(model, UNMEASURED).is_known

    def model_cost(self, model: ModelId) -> ModelCost:
        """The current cost of a model's requests."""
        speed = self.speeds.get(model, UNMEASURED)
        answered = speed.output_tokens / speed.requests if speed.requests else OUTPUT_TOKENS_UNKNOWN
        prior = REQUEST_UNITS + OUTPUT_WEIGHT * answered
        return ModelCost(1.0 / speed.units_a_second, prior, ERROR_NEW)

    def shares(self, owners: Iterable[OwnerId], now: float) -> dict[OwnerId, float]:
        """The weight of each owner's batches: the fair share of recent service divided by the owner's own."""
        had = {owner: self.services[owner].by(now) if owner in self.services else 0.0 for owner in set(owners)}
        fair = sum(had.values()) / max(1, len(had))
        return {
            owner: _bounded((fair + SHARE_SLACK_SECONDS) / (own + SHARE_SLACK_SECONDS)) for owner, own in had.items()
        }


UNMEASURED = ModelSpeed()


def units(requests: int, usage: e.Usage) -> float:
    """The units of requests that have finished with this usage."""
    return REQUEST_UNITS * requests + usage.input_tokens + OUTPUT_WEIGHT * usage.output_tokens


def _bounded(share: float) -> float:
    return min(SHARE_MAX, max(1.0 / SHARE_MAX, share))
