"""Loads the wanted model on the device, keeps the engine full, and handles its death or its release."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts.answers import answer_blob
from vbatch.contracts.events import NO_ANSWER, EngineCrashed, Outcome
from vbatch.contracts.failures import RequestFault, ReturnReason
from vbatch.contracts.ids import ModelId, RunnerId, SliceId
from vbatch.gpu_runner.core.answers import fault_outcome
from vbatch.gpu_runner.core.chunks import BODY_BYTES_MAX
from vbatch.gpu_runner.core.concurrency import ConcurrencyLimit
from vbatch.gpu_runner.core.draining import Drain
from vbatch.gpu_runner.core.feed import ClientLoad, Feed, Remainder, Request
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.core.seats import batch_places, running_max_of
from vbatch.gpu_runner.core.time_shares import Activity
from vbatch.gpu_runner.core.watchdog import Watchdog
from vbatch.gpu_runner.flows.asking import EngineGone, outcome_from
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.idle_tuning import IdleTuner
from vbatch.gpu_runner.flows.lane_traffic import LaneTraffic
from vbatch.gpu_runner.flows.loading import Loading, NotLoaded
from vbatch.gpu_runner.flows.recorder import Recorder
from vbatch.gpu_runner.ports import AnswerFiles, Clock, Engine
from vbatch.journal.quarantine import Quarantine
from vbatch.journal.single_writer import LeaseFreshness

EXPECT_SECONDS = 0.5
"""The pause between two looks for the next model."""
REST_SECONDS = 10.0
"""An engine idle for this long leaves the machine to the preparation of the next start."""
LAST_WORDS_SECONDS_MAX = 1.0
"""How long to wait for a dead engine's exit; its last output says more than a lost connection."""

PLACES_SECONDS = 0.5
"""The pause between two looks at how many requests a fleet takes."""
CONCURRENCY_RISE, CONCURRENCY_FALL = 1.5, 4.0
"""A fleet that takes more is reported each time it takes this many times more, so that growth takes few events. One
that takes less is reported once it takes less than a fourth."""

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass(kw_only=True)
class EngineSession:
    runner_id: RunnerId
    epoch: int
    loading: Loading
    feed: Feed
    recorder: Recorder
    answer_files: AnswerFiles
    changed: ChangeSignal
    metrics: RunnerMetrics
    limits: Limits
    freshness: LeaseFreshness
    now: Clock
    quarantine: Quarantine
    engine: Engine | None = None
    traffic: LaneTraffic = field(default_factory=LaneTraffic)
    tuner: IdleTuner | None = None
    drain: Drain = field(default_factory=Drain)
    _concurrency: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(0))
    _inside: dict[tuple[SliceId, int], asyncio.Task[None]] = field(default_factory=dict)
    _death: str | None = None
    _kept: Engine | None = None
    """The engine that answers: it is loaded and not yet being stopped."""
    _kept_since: float = 0.0
    _staying_for: ClientLoad | None = None
    _fed_at: float = 0.0
    _answered_count: int = 0
    _has_expected: bool = False
    _is_loading: bool = False

    @property
    def model_answering(self) -> ModelId | None:
        """The model that takes interactive requests now: loaded, alive, and not about to leave for another one."""
        engine = self.engine
        if engine is None or self._death is not None or self._kept is not engine or self.drain.is_active:
            return None
        model = engine.definition.id
        is_wanted = self.feed.model_wanted in (None, model)
        return model if is_wanted and self.loading.is_current(engine) else None

    @property
    def holds_device(self) -> bool:
        """Whether it has an engine, or starts one."""
        return self.engine is not None or self._is_loading

    async def serve(self) -> None:
        """Serve forever. When cancelled, the engine keeps running until `stop`, and open slices stay in the feed."""
        while True:
            model = self.feed.model_wanted
            if model is None and (first := self._first_to_expect()):
                await self.loading.expect(first)
            elif model is None:
                self.metrics.turn_to(Activity.IDLE, _clock())
                await self.changed.wait()
            elif engine := await self._load(model):
                await self._keep(engine)

    async def stop(self) -> None:
        """Stop the engine. It may be called again after it was cancelled: the engine is forgotten only once it is
        stopped."""
        if self.engine:
            self.metrics.model, self.metrics.concurrency, self.metrics.stats = "", 0, None
            await self.engine.stop()
            self.engine = None

    async def _release(self, engine: Engine) -> None:
        self.metrics.model, self.metrics.concurrency = "", 0
        await engine.release()
        self.engine = None
        self.changed.fire()

    def abort(self, remainder: Remainder) -> None:
        """Take the requests of a closed slice back from the engine."""
        for line in remainder.suspects:
            if task := self._inside.get((remainder.order.slice_id, line)):
                task.cancel()

    # loading

    def _first_to_expect(self) -> ModelId | None:
        """The model to prepare for, once, before the first load of this process: importing then takes nothing from a
        running model."""
        if self._has_expected:
            return None
        first = self.loading.likely_first()
        self._has_expected = first is not None
        return first

    async def _load(self, model: ModelId) -> Engine | None:
        """Return the engine that serves the model; None if there is none, and then the model's slices are returned."""
        wanted_at = max(self._fed_at, self.feed.wanted_since)
        self._has_expected = self._is_loading = True
        self.metrics.turn_to(Activity.LOADING, _clock())
        try:
            self.engine = await self.loading.load(model)
        except NotLoaded as error:
            self._give_back(model, str(error))
            return None
        finally:
            self._is_loading = False
            self.changed.fire()
        reached(Failpoint.ENGINE_STARTED)
        self.loading.report_loaded(self.engine, wanted_at)
        return self.engine

    def _give_back(self, model: ModelId, detail: str) -> None:
        for remainder in self.feed.close_model(model):
            self.recorder.give_back(remainder, ReturnReason.MODEL_FAILED, detail)

    # running

    async def _keep(self, engine: Engine) -> None:
        """Return when another model is wanted and this one is drained, or the engine has died; then it is stopped."""
        self._death = None
        self._kept, self._kept_since, self._staying_for = engine, _clock(), None
        self._concurrency = ConcurrencyLimit(engine.concurrency)
        async with asyncio.TaskGroup() as tasks:
            duties = (
                self._await_end,
                self._watch,
                self._follow_stats,
                self._follow_places,
                self._expect_next,
                self._tune,
            )
            watchers = [tasks.create_task(duty(engine)) for duty in duties]
            while not self._is_over(engine):
                self._fill_engine(engine, tasks)
                watchers += self._begin_stay(engine, tasks)
                self.metrics.turn_to(self._activity(engine), _clock())
                await self.changed.wait()
            for task in (*watchers, *self._inside.values()):
                task.cancel()
        self._kept = None
        if self._death is not None:
            await self._report_death(engine, self._death)
            await self.stop()
        else:
            await self._release(engine)

    async def _expect_next(self, engine: Engine) -> None:
        """Prepare the start of each model that comes after this one; once the engine rests, the start of any likely
        model."""
        expected: ModelId | None = None
        busy_at = _clock()
        while True:
            await asyncio.sleep(EXPECT_SECONDS)
            if self.feed.model_wanted:
                busy_at = _clock()
            has_rested = _clock() - busy_at >= REST_SECONDS
            model = self.feed.model_next or (engine.definition.id if has_rested else None)
            if model and model != expected:
                expected = model
                await self.loading.expect(model)

    async def _tune(self, engine: Engine) -> None:
        """Measure other settings of the model while nothing runs, once it has answered a request."""
        while self._answered_count == 0:
            await self.changed.wait()
        if self.tuner:
            await self.tuner.watch(engine.definition)

    def _begin_stay(self, engine: Engine, tasks: asyncio.TaskGroup) -> Iterator[asyncio.Task[None]]:
        """Yield the task that keeps the engine for clients, once for each order to load its model."""
        load = self.feed.load_due
        if load is not None and load is not self._staying_for and load.model == engine.definition.id:
            self._staying_for = load
            yield tasks.create_task(self._stay(engine, load))

    async def _stay(self, engine: Engine, load: ClientLoad) -> None:
        """Keep the model that was loaded for clients as long as its order says, whatever waits behind it."""
        if load.opened_at > self._kept_since:  # it was already loaded when the order came: record that
            self.loading.report_loaded(engine, _clock())
        await asyncio.sleep(load.stay_seconds)
        self.feed.end_load(load)
        self.changed.fire()

    def _is_over(self, engine: Engine) -> bool:
        if self._death is not None:
            return True
        if self._inside:
            return False
        return self._must_leave() or (self.feed.model_wanted is not None and not self._may_feed(engine))

    def _must_leave(self) -> bool:
        """Whether an administrator wants the device back, and no client reads an answer any more."""
        return self.drain.frees_device and self.traffic.inside_count == 0

    def _may_feed(self, engine: Engine) -> bool:
        """Whether the front slice is for this model and its definition is still the one that was loaded."""
        return self.feed.model_wanted == engine.definition.id and self.loading.is_current(engine)

    def _activity(self, engine: Engine) -> Activity:
        if self._inside:
            return Activity.BUSY
        return Activity.HELD if self._may_feed(engine) and not self._may_record() else Activity.IDLE

    def _may_record(self) -> bool:
        """Whether the answers to what is fed now can be recorded by us: the lease must still be ours."""
        return self.freshness.is_fresh() and not self.recorder.is_behind

    def _places(self, engine: Engine) -> int:
        """How many batch requests may be inside now."""
        return batch_places(
            self._concurrency.size if engine.places is None else engine.places,
            running_max_of(engine.concurrency),
            self.traffic.load(engine.definition.id),
            has_priority=engine.has_priority,
        )

    def _fill_engine(self, engine: Engine, tasks: asyncio.TaskGroup) -> None:
        places = self._places(engine)
        while len(self._inside) < places and self._may_record() and self._may_feed(engine):
            request = self.feed.take()
            if request is None:
                return
            if self.quarantine.is_poison(request.place):
                self._set_aside(request)
                continue
            self._fed_at = _clock()
            task = self._inside[request.slice_id, request.line] = tasks.create_task(self._run(engine, request))
            task.add_done_callback(partial(self._leave, request))

    async def _run(self, engine: Engine, request: Request) -> None:
        try:
            await self._answer(engine, request)
        except EngineGone as error:
            self._declare_dead(str(error))
        except Exception as error:
            self.quarantine.note(request.place, error)
            raise

    async def _answer(self, engine: Engine, request: Request) -> None:
        # A request handed out before a freeze leaves after it.
        outcome = await outcome_from(engine, request, self.limits, self.metrics, self.freshness.until_fresh)
        reached(Failpoint.ANSWERED)
        self._answered_count += 1
        self._concurrency.answered(_clock())
        self.metrics.answered(_clock())
        if len(bytes(outcome.body)) > BODY_BYTES_MAX:
            outcome = await self._offloaded(request, outcome)
        if self.feed.finish(request):
            self.recorder.record(request.slice_id, outcome)

    def _set_aside(self, request: Request) -> None:
        """Fail a request at which the runner has ended again and again, so that the others can run."""
        self.quarantine.tell(request.place)
        message = self.quarantine.reason(request.place)
        outcome = fault_outcome(request, RequestFault.UNREADABLE_ANSWER, message=message)
        if self.feed.finish(request):
            self.recorder.record(request.slice_id, outcome)

    def _leave(self, request: Request, _task: asyncio.Task[None]) -> None:
        """This also runs for a task that was cancelled before it started, which never reaches its own `finally`."""
        self._inside.pop((request.slice_id, request.line), None)
        self.changed.fire()

    async def _offloaded(self, request: Request, outcome: Outcome) -> Outcome:
        """Return the outcome with its body moved to a blob."""
        blob = answer_blob(self.epoch, request.slice_id, request.line)
        await self.answer_files.put(blob, bytes(outcome.body))
        reached(Failpoint.ANSWER_SHELVED)
        return msgspec.structs.replace(outcome, body=NO_ANSWER, body_blob=blob)

    async def _follow_stats(self, engine: Engine) -> None:
        """Read the engine's stats while it is full; less often while there is nothing to change."""
        pause = self.limits.load_seconds
        while True:
            await asyncio.sleep(pause)
            if len(self._inside) < self._places(engine) or (load := await engine.stats()) is None:
                continue
            self.metrics.stats = load
            has_changed = self._concurrency.follow(load, len(self._inside))
            pause = self.limits.load_seconds if has_changed else min(2 * pause, self.limits.load_seconds_max)
            self.metrics.concurrency = self._concurrency.size
            self.changed.fire()

    async def _follow_places(self, engine: Engine) -> None:
        """Tell the scheduler when a fleet takes more requests, or far fewer, than it was last told."""
        told = engine.concurrency
        while (places := engine.places) is not None:
            if places != self.metrics.concurrency:
                self.metrics.concurrency = places
                self.changed.fire()
            if places > told or places < told / CONCURRENCY_FALL:
                told = int(places * CONCURRENCY_RISE)
                self.loading.report_concurrency(engine, told)
            await asyncio.sleep(PLACES_SECONDS)

    # dying

    def _declare_dead(self, reason: str) -> None:
        self._death = self._death or reason
        self.changed.fire()

    async def _await_end(self, engine: Engine) -> None:
        self._declare_dead(await engine.gone())

    async def _watch(self, engine: Engine) -> None:
        limits = self.limits
        seconds = {"silence_seconds_max": limits.silence_seconds_max, "stall_seconds_max": limits.stall_seconds_max}
        watchdog = Watchdog.begin(_clock(), **seconds)
        answered_before = -1
        while (verdict := watchdog.verdict(_clock())) is None:
            await asyncio.sleep(limits.probe_seconds)
            answered = self._answered_count + self.traffic.answered_count
            is_idle = not self._inside and not self.traffic.load(engine.definition.id).inside
            if is_idle or answered != answered_before:
                answered_before = answered
                watchdog.saw_answer(_clock())
            elif await engine.is_healthy():
                watchdog.saw_health(_clock())
                watchdog.saw_progress(await engine.progress(), _clock())
        self._declare_dead(verdict)

    async def _report_death(self, engine: Engine, reason: str) -> None:
        model = engine.definition.id
        detail = await _last_words(engine) or reason
        is_short = self.loading.step_down(engine, detail)  # if so, no request inside is to blame
        is_innocent = is_short or self.traffic.may_have_killed(model)
        reached(Failpoint.ENGINE_LOST)
        remainders = self.feed.close_model(model)  # nothing is awaited between this and returning them
        crashed = EngineCrashed(
            at=self.now(),
            runner_id=self.runner_id,
            epoch=self.epoch,
            model=model,
            detail=detail,
            suspect_count=0 if is_innocent else sum(len(remainder.suspects) for remainder in remainders),
        )
        self.recorder.send(crashed)
        for remainder in remainders:
            self.recorder.give_back(remainder, ReturnReason.ENGINE_DIED, detail, inside=not is_innocent)
        self.metrics.engine_crash_count += 1
        log.error("engine_crashed", model=model, detail=detail, suspect_count=crashed.suspect_count)


async def _last_words(engine: Engine) -> str:
    try:
        async with asyncio.timeout(LAST_WORDS_SECONDS_MAX):
            return await engine.gone()
    except TimeoutError:
        return ""


def _clock() -> float:
    return asyncio.get_running_loop().time()
