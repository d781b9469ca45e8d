"""One run of a runner: it takes the lease, works until it is asked to stop or is fenced, and returns open work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts import codec, subjects
from vbatch.contracts.events import AnyEvent, RunnerLeased, RunnerStopped
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.message import Recorded
from vbatch.gpu_runner.core.command import Device
from vbatch.gpu_runner.core.draining import Drain
from vbatch.gpu_runner.core.feed import Feed
from vbatch.gpu_runner.core.fleet.fleet import Replica
from vbatch.gpu_runner.core.ladder import Ladder
from vbatch.gpu_runner.core.limits import Limits
from vbatch.gpu_runner.core.metrics import RunnerMetrics
from vbatch.gpu_runner.core.registry import Registry
from vbatch.gpu_runner.flows.change_signal import ChangeSignal
from vbatch.gpu_runner.flows.draining import Draining
from vbatch.gpu_runner.flows.engine_session import EngineSession
from vbatch.gpu_runner.flows.idle_tuning import IdleTuner
from vbatch.gpu_runner.flows.intake import Intake
from vbatch.gpu_runner.flows.lane import Lane
from vbatch.gpu_runner.flows.lane_traffic import LaneTraffic
from vbatch.gpu_runner.flows.loading import Loading
from vbatch.gpu_runner.flows.reading import Reading
from vbatch.gpu_runner.flows.recorder import SOURCE, Recorder
from vbatch.gpu_runner.ports import AnswerFiles, Clock, InputFiles, Launcher, TrialLauncher, TunedSettings
from vbatch.journal.port import Delivery, Fenced, Journal, Publisher, Unavailable
from vbatch.journal.quarantine import QuarantineMeans
from vbatch.journal.single_writer import Folding, LeaseFreshness, SingleWriter

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


class StopWish(Protocol):
    """The request that the service ends."""

    reason: str | None

    def request(self, reason: str) -> None: ...

    async def wait(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """What a runner works with."""

    journal: Journal
    launcher: Launcher
    input_files: InputFiles
    answer_files: AnswerFiles
    device: Device
    now: Clock
    means: QuarantineMeans = field(default_factory=QuarantineMeans)
    trials: TrialLauncher | None = None
    tuned: TunedSettings | None = None
    """Both are None where nothing is measured."""


@dataclass
class Runner:
    """`feed` and `metrics` are public for the health check and the metrics."""

    runner_id: RunnerId
    pid: int
    dependencies: Dependencies
    limits: Limits
    feed: Feed = field(default_factory=Feed)
    registry: Registry = field(default_factory=Registry)
    drain: Drain = field(default_factory=Drain)
    metrics: RunnerMetrics = field(default_factory=RunnerMetrics)
    changed: ChangeSignal = field(default_factory=ChangeSignal)
    lane: Lane | None = None
    """None before the lease is taken."""
    _session_now: EngineSession | None = None
    writer: SingleWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = SingleWriter(self.dependencies.journal, SOURCE, self.dependencies.means)

    @property
    def epoch(self) -> int:
        """The epoch of the lease; 0 before it is taken."""
        return self.writer.epoch

    @property
    def engine_state(self) -> str:
        """A description for people: which model answers, if any, and how long the swap to it took."""
        if not self.metrics.model:
            return "no model on the device"
        seconds = self.metrics.first_answer_seconds_last or self.metrics.swap_seconds_last
        return f"serving {self.metrics.model}, {seconds:.1f} s after the one before stopped"

    async def engine_metrics(self) -> bytes:
        """The loaded engine's metrics as Prometheus text; empty while no engine is loaded."""
        engine = self._session_now.engine if self._session_now else None
        return await engine.metrics() if engine else b""

    @property
    def replicas(self) -> Sequence[Replica]:
        """The servers of the loaded engine, if it is a fleet."""
        engine = self._session_now.engine if self._session_now else None
        return engine.replicas if engine else ()

    async def run(self, stop: StopWish) -> None:
        """Run until a requested stop. Raises Fenced, ConnectionLost or the error that ended it (in a group)."""
        epoch = self.drain.epoch = await self.writer.take_lease(self._leased())
        reached(Failpoint.RUNNER_LEASED)
        log.info("runner_leased", runner_id=self.runner_id, epoch=epoch, device=self.dependencies.device.name)
        recorder = self._recorder(epoch)
        self.dependencies.journal.waiting_writes.watch(lambda _refusal: self.changed.fire())
        session = self._session_now = self._session(epoch, recorder)
        self.lane = Lane(session, self.dependencies.launcher, session.traffic, self.limits.interactive_requests_max)
        try:
            async with (
                self.writer.publisher() as publisher,
                self.dependencies.journal.work.take(
                    subjects.work(self.runner_id, epoch), self._consumer(epoch)
                ) as deliveries,
            ):
                await self._work(stop, session, deliveries=deliveries, publisher=publisher)
                await self._leave(stop, recorder, epoch, publisher)
        except* Fenced:
            log.error("runner_fenced", runner_id=self.runner_id, epoch=epoch)
            raise
        finally:
            await session.stop()
            await self.dependencies.launcher.close()

    def _leased(self) -> RunnerLeased:
        device = self.dependencies.device
        return RunnerLeased(
            at=self.dependencies.now(),
            runner_id=self.runner_id,
            device=device.name,
            memory_bytes=device.memory_bytes,
            pid=self.pid,
        )

    def _recorder(self, epoch: int) -> Recorder:
        return Recorder(
            runner_id=self.runner_id,
            epoch=epoch,
            metrics=self.metrics,
            limits=self.limits,
            caught_up=self.changed,
            waiting_writes=self.dependencies.journal.waiting_writes,
            now=self.dependencies.now,
            quarantine=self.writer.quarantine,
        )

    def _session(self, epoch: int, recorder: Recorder) -> EngineSession:
        traffic = LaneTraffic(self.changed)
        return EngineSession(
            runner_id=self.runner_id,
            epoch=epoch,
            loading=self._loading(epoch, recorder),
            feed=self.feed,
            recorder=recorder,
            answer_files=self.dependencies.answer_files,
            changed=self.changed,
            metrics=self.metrics,
            limits=self.limits,
            freshness=LeaseFreshness(self.changed.fire, asyncio.get_running_loop().time),
            now=self.dependencies.now,
            quarantine=self.writer.quarantine,
            traffic=traffic,
            tuner=self._tuner(epoch, recorder, traffic),
            drain=self.drain,
        )

    def _tuner(self, epoch: int, recorder: Recorder, traffic: LaneTraffic) -> IdleTuner | None:
        trials, tuned = self.dependencies.trials, self.dependencies.tuned
        if trials is None or tuned is None:
            return None
        return IdleTuner(
            runner_id=self.runner_id,
            epoch=epoch,
            device=self.dependencies.device,
            launcher=trials,
            settings=tuned,
            tell=recorder.send,
            changed=self.changed,
            limits=self.limits,
            now=self.dependencies.now,
            is_idle=lambda: self.feed.model_wanted is None and traffic.inside_count == 0 and not self.drain.is_active,
        )

    def _loading(self, epoch: int, recorder: Recorder) -> Loading:
        return Loading(
            runner_id=self.runner_id,
            epoch=epoch,
            launcher=self.dependencies.launcher,
            registry=self.registry,
            recorder=recorder,
            changed=self.changed,
            metrics=self.metrics,
            limits=self.limits,
            now=self.dependencies.now,
            ladder=Ladder(self.dependencies.device, self.limits.may_shorten_context),
        )

    async def _work(
        self,
        stop: StopWish,
        session: EngineSession,
        *,
        deliveries: AsyncIterator[Delivery],
        publisher: Publisher,
    ) -> None:
        """Work until asked to stop; what has finished by then is recorded, the rest is still in the feed."""
        recorder = session.recorder
        reading = Reading(self.dependencies.input_files, self.feed, recorder, self.changed)
        async with asyncio.TaskGroup() as tasks:
            intake = Intake(
                epoch=self.epoch,
                feed=self.feed,
                recorder=recorder,
                changed=self.changed,
                abort=session.abort,
                fail=lambda order: tasks.create_task(reading.fail(order)),
                now=asyncio.get_running_loop().time,
                drain=self.drain,
            )
            draining = Draining(self.drain, session, self.dependencies.launcher, stop.request)
            following = self._following(intake).follow(subjects=self._followed())
            duties = (
                *self._duties(session, publisher),
                following,
                draining.obey(),
                intake.take_all(deliveries),
                reading.read_ahead(),
            )
            working = [tasks.create_task(duty) for duty in duties]
            await stop.wait()
            for task in working:
                task.cancel()

    def _duties(self, session: EngineSession, publisher: Publisher) -> tuple[Coroutine[None, None, None], ...]:
        """The tasks that run beside the intake of orders."""
        recorder = session.recorder
        return (
            self.writer.watch(),
            session.serve(),
            session.freshness.keep(self.writer),
            recorder.publish(publisher),
            recorder.confirm(publisher),
            _settle_all(recorder),
        )

    def _consumer(self, epoch: int) -> str:
        """A consumer name for this process only: unsettled orders of an earlier process do not delay this one."""
        return f"{self.runner_id}-{epoch}"

    def _followed(self) -> tuple[str, ...]:
        return (subjects.MODEL_EVENTS, *subjects.drains_of(self.runner_id))

    def _following(self, intake: Intake) -> Folding:
        """The runner acts on orders, and stops acting when it is drained, so it waits for no caught-up gate."""

        def evolve(event: AnyEvent, sequence: int) -> None:
            self.registry.evolve(event)
            self.drain.evolve(event, sequence)

        def folded() -> None:
            intake.follow_drain()
            self.changed.fire()

        return Folding(
            writer=self.writer,
            evolve=evolve,
            on_folded=folded,
            on_unreadable=_pass_over,
        )

    async def _leave(self, stop: StopWish, recorder: Recorder, epoch: int, publisher: Publisher) -> None:
        reason = stop.reason or "asked to"
        for remainder in self.feed.close_all():
            recorder.give_back(remainder, ReturnReason.STOPPING)
        recorder.send(RunnerStopped(at=self.dependencies.now(), runner_id=self.runner_id, epoch=epoch, reason=reason))
        async with asyncio.timeout(self.limits.flush_seconds_max):
            await recorder.drain(publisher)
            await publisher.flush()
        for delivery in recorder.settled_now():
            await _settle(delivery)


async def _pass_over(record: Recorded, error: codec.Unreadable) -> None:
    log.error("model_event_unreadable", sequence=record.sequence, reason=str(error))


async def _settle_all(recorder: Recorder) -> None:
    while True:
        await _settle(await recorder.next_settled())


async def _settle(delivery: Delivery) -> None:
    reached(Failpoint.ORDER_STORED)
    try:
        await delivery.ack()
    except Unavailable as error:
        # It will be delivered again and dropped: as already taken or, in another process, as stale.
        log.warning("order_not_acked", sequence=delivery.message.sequence, reason=str(error))
