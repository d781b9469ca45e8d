"""What the batches wait for, and when their answers may come. It reports the simulation; it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from vbatch.contracts.durations import rough_duration
from vbatch.contracts.forecast import BatchAhead, DeviceForecast, Explanation, Forecast, ForecastEntry, Stay
from vbatch.contracts.ids import BatchId, RunnerId
from vbatch.scheduler.core.demand import clients_words
from vbatch.scheduler.core.forecast.admission import admission
from vbatch.scheduler.core.forecast.blocked_reason import blocked_reason
from vbatch.scheduler.core.forecast.simulation import Simulated, SimulatedRun, SimulatedStay, simulate
from vbatch.scheduler.core.forecast.what_if import remedies, with_priority
from vbatch.scheduler.core.policy.policy import Policy
from vbatch.scheduler.core.policy.view import held_until, model_cost_of, seconds_of, views_of
from vbatch.scheduler.core.state.pending_batch import PendingBatch
from vbatch.scheduler.core.state.state import State

BEFORE_MAX = 20
"""How many of the batches ahead are named."""
STAYS_MAX = 200
"""How many stays of models are listed for one device."""
MODEL_DOUBT = 0.1
"""Relative error of a well-measured rate: even such a rate changes."""
ORDER_DOUBT = 0.15
"""Relative error of the order: a waiting batch may be overtaken when estimates change."""
GUESS_DOUBT = 9.0
"""Relative error of a speed that was not measured: it may be ten times another."""
OVERTAKING = 0.33
"""The share of the shorter work that arrives meanwhile and likely runs first; for the latest end, all of it does."""


@dataclass(frozen=True, slots=True)
class PriorityTried:
    """A priority that a batch does not have, for a forecast of what would happen if it had."""

    batch_id: BatchId
    priority: int


def queue(
    state: State, policy: Policy, now: datetime, *, tried: PriorityTried | None = None
) -> tuple[ForecastEntry, ...]:
    """All unfinished batches, in the order in which they are expected to end."""
    return whole_forecast(state, policy, now, tried=tried).batches


def whole_forecast(state: State, policy: Policy, now: datetime, *, tried: PriorityTried | None = None) -> Forecast:
    """All unfinished batches, and what each device is expected to do."""
    situation = _situation(state, policy, now, tried)
    all_of_them = [situation.entry_of(batch) for batch in state.batches.values()]
    in_order = sorted(all_of_them, key=lambda entry: (entry.ends_at is None, entry.ends_at or now, not entry.runs_now))
    return Forecast(at=now, batches=tuple(in_order), devices=situation.devices)


def explain(state: State, policy: Policy, batch_id: BatchId, now: datetime) -> Explanation | None:
    """Why the batch has its place; None for a batch that is unknown or has ended."""
    batch = state.batches.get(batch_id)
    if batch is None:
        return None
    situation = _situation(state, policy, now)
    before = situation.before(batch_id)
    return Explanation(
        at=now,
        batch=situation.entry_of(batch),
        runs_first=tuple(
            BatchAhead(batch_id=other, owner=state.batches[other].created.owner) for other in before[:BEFORE_MAX]
        ),
        more_first=max(0, len(before) - BEFORE_MAX),
        remedies=remedies(state, policy, batch, situation.runs.get(batch_id), now),
    )


@dataclass(frozen=True, slots=True)
class _Situation:
    """`starting` holds the batches in the order they start, `running` those with requests on a device."""

    state: State
    now: datetime
    runs: Mapping[BatchId, SimulatedRun]
    running: frozenset[BatchId]
    starting: tuple[BatchId, ...]
    places: Mapping[BatchId, int]
    positions: Mapping[BatchId, int]
    guessed_from: int
    """The index of the first batch whose model was not measured: its end and those of all batches behind it are
    guesses."""
    devices: tuple[DeviceForecast, ...]
    tried: PriorityTried | None

    def entry_of(self, batch: PendingBatch) -> ForecastEntry:
        entry = self._with_times(self._bare(batch), batch)
        waits_for = blocked_reason(self.state, batch, self.now) or self._turn(entry)
        return msgspec.structs.replace(entry, waits_for=waits_for)

    def before(self, batch_id: BatchId) -> tuple[BatchId, ...]:
        return self.starting[: self.places.get(batch_id, 0)]

    def _bare(self, batch: PendingBatch) -> ForecastEntry:
        return ForecastEntry(
            batch_id=batch.batch_id,
            owner=batch.created.owner,
            model=next(iter(batch.waiting_models()), batch.model),
            status=batch.status,
            priority=self._priority(batch),
            is_paused=batch.is_paused,
            waiting_requests=batch.waiting_count,
            runs_now=batch.batch_id in self.running,
            position=0 if batch.batch_id in self.running else self.positions.get(batch.batch_id),
            requests_per_second=round(batch.throughput.by(self.now.timestamp()), 2) if batch.ledger else None,
        )

    def _priority(self, batch: PendingBatch) -> int:
        is_tried = self.tried is not None and self.tried.batch_id == batch.batch_id
        return self.tried.priority if is_tried and self.tried is not None else batch.steering.priority

    def _with_times(self, bare: ForecastEntry, batch: PendingBatch) -> ForecastEntry:
        run = self.runs.get(batch.batch_id)
        if run is None:
            return bare
        starts_at = None if bare.runs_now else _time(run.starts)
        entry = msgspec.structs.replace(bare, work_seconds=round(run.work, 1), reason=run.reason, starts_at=starts_at)
        if run.ends is None:
            return entry
        now = self.now.timestamp()
        load, doubt = 0.0, MODEL_DOUBT + run.error
        if self.places[batch.batch_id] >= self.guessed_from:
            entry, doubt = msgspec.structs.replace(entry, is_guess=True), doubt + GUESS_DOUBT
        if batch.waiting_count:
            load, doubt = self.state.arrivals.load_of_shorter(run.work, now), doubt + ORDER_DOUBT
        return _with_end(entry, batch, now, wait=run.ends - now, doubt=doubt, load=load)

    def _turn(self, entry: ForecastEntry) -> str:
        if entry.runs_now:
            return f"nothing: it is running{self._to_go(entry)}"
        if entry.starts_at is None:
            return "its turn: too many batches wait to estimate when"
        start = rough_duration((entry.starts_at - self.now).total_seconds())
        before = self.places.get(entry.batch_id, 0)
        if not before:
            return f"the work on the device, about {start}{clients_words(self.state, self.now)}"
        first = f"{before} {'batch' if before == 1 else 'batches'} to run first, about {start}"
        return first + clients_words(self.state, self.now)

    def _to_go(self, entry: ForecastEntry) -> str:
        if entry.ends_at is None:
            return ""
        guess = " (a guess)" if entry.is_guess else ""
        return f", with about {rough_duration((entry.ends_at - self.now).total_seconds())} left{guess}"


def _situation(state: State, policy: Policy, now: datetime, tried: PriorityTried | None = None) -> _Situation:
    views = views_of(state, now)
    simulated = simulate(with_priority(views, tried.batch_id, tried.priority) if tried else views, policy)
    runs = _forecast_entry(state, simulated, now)
    running = frozenset(slice_.event.batch_id for slice_ in state.slices.values())
    starting = tuple(sorted(runs, key=lambda run: (runs[run].starts, run)))
    waiting = (batch_id for batch_id in starting if batch_id not in running)
    measured = (state.costs.is_measured(state.batches[batch_id].model) for batch_id in starting)
    return _Situation(
        state,
        now,
        runs,
        running,
        starting,
        places={batch_id: place for place, batch_id in enumerate(starting)},
        positions={batch_id: position for position, batch_id in enumerate(waiting, 1)},
        guessed_from=next((place for place, is_measured in enumerate(measured) if not is_measured), len(starting)),
        devices=tuple(
            _device(runner_id, stays) for runner_id, stays in zip(state.runners, simulated.stays, strict=True)
        ),
        tried=tried,
    )


def _device(runner_id: RunnerId, stays: Sequence[SimulatedStay]) -> DeviceForecast:
    shown = tuple(
        Stay(model=stay.model, loads_at=_time(stay.loads), starts_at=_time(stay.starts), ends_at=_time(stay.ends))
        for stay in stays[:STAYS_MAX]
    )
    return DeviceForecast(runner_id=runner_id, stays=shown, more=max(0, len(stays) - STAYS_MAX))


def _forecast_entry(state: State, simulated: Simulated, now: datetime) -> Mapping[BatchId, SimulatedRun]:
    runs = dict(simulated.runs)
    for runner in state.runners.values():
        for batch_id, ends in held_until(state, runner, now).items():
            batch = state.batches[batch_id]
            if not batch.waiting_count and (model_cost := model_cost_of(state, batch)) and batch.ledger:
                work = seconds_of(batch, model_cost, batch.ledger.total - batch.ledger.answered)
                runs[batch_id] = SimulatedRun(now.timestamp(), work, model_cost.error(batch.ledger.answered), ends=ends)
    return runs


def _with_end(
    entry: ForecastEntry, batch: PendingBatch, now: float, *, wait: float, doubt: float, load: float
) -> ForecastEntry:
    """The entry with its earliest, likely and latest end. `wait` is the seconds until the end if nothing new arrives,
    `doubt` its relative error, and `load` the share of the device that shorter batches take when they arrive
    meanwhile."""
    overtaken = load / (1.0 - load)  # the time for the work of newcomers, including those that arrive within that time
    earliest = _time(now + wait / (1.0 + doubt))
    likely = _time(now + wait * (1.0 + OVERTAKING * overtaken))
    latest = _time(now + wait * (1.0 + doubt) * (1.0 + overtaken))
    return msgspec.structs.replace(
        entry,
        ends_at=likely,
        ends_at_earliest=earliest,
        ends_at_latest=latest,
        admission=admission(
            created=batch.created.at,
            expires=batch.created.expires_at,
            likely_end=earliest if entry.is_guess else likely,  # a guess alone causes no warning
            latest_end=latest,
        ),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds), UTC)
