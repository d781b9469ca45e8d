"""The notifier of one simulated machine: the real flows, a bad network on both sides, kills and zombies by seed.

What must come out is worked out by a reading of the log of its own, so that a rule that is wrong in the service is not
wrong here in the same way.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import msgspec

from tests.simulation.checks import Violation
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import Lane, SimulatedLoop, Stuck
from tests.simulation.run import BEGIN, _service_logs
from tests.simulation.weather import Weather
from tests.support.events import BATCH_CREATED, SAMPLES, WEBHOOK_CREATED
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId, DeliveryId, EndpointId, OwnerId
from vbatch.contracts.message import Recorded
from vbatch.contracts.webhooks import DeliveryFault
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Fenced, Full, Unavailable
from vbatch.journal.settings import JournalSettings
from vbatch.notifier.core.schedule import Answer
from vbatch.notifier.flows.serving import Progress, serve
from vbatch.notifier.ports import Dependencies

OWNERS = (OwnerId("ann"), OwnerId("bob"))
ENDPOINTS, BATCHES = 4, 15
STORM_SECONDS, CALM_SECONDS = 60.0, 5 * 86_400.0
POLL_SECONDS = 0.5
WAYS_TO_END = (Fenced, Unavailable, Full, asyncio.CancelledError)
"""How the process may end: fenced, or in trouble that its restart heals. Anything else is a bug."""
NAMES = {
    e.BatchCompleted: "batch.completed",
    e.BatchCancelled: "batch.cancelled",
    e.BatchExpired: "batch.expired",
    e.BatchRejected: "batch.failed",
}
ENDS: tuple[e.BatchRejected | e.BatchSealed, ...] = tuple(
    event for event in SAMPLES if isinstance(event, e.BatchRejected | e.BatchSealed)
)


@dataclass
class Endpoints:
    """The receivers: what each took, and how badly they answer while the weather is bad."""

    weather: Weather
    taken: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    asked: int = 0

    async def post(self, _url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.asked += 1
        await self.weather.wait()
        random = self.weather.random
        if self.weather.strikes(0.3):
            return Answer(1, fault=random.choice(list(DeliveryFault)))
        if self.weather.strikes(0.3):
            code, retry_after = random.choice((302, 404, 429, 500, 503)), random.choice((None, 9.0))
            return Answer(1, status_code=code, retry_after=retry_after)
        self.taken[headers["webhook-id"]].add(body)
        await self.weather.wait()
        if self.weather.strikes(0.2):
            return Answer(1, fault=DeliveryFault.NO_ANSWER)  # it was taken, and nobody hears of it
        return Answer(1, status_code=200)


class NoSecrets:
    def read(self, reference: str) -> bytes:
        return reference.encode()


@dataclass
class Outcome:
    """What one seed gave."""

    violation: Violation | None = None
    deliveries: int = 0
    posts: int = 0
    lives: int = 0


class WebhookRun:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._loop = SimulatedLoop(self._random)
        self._weather = Weather(self._random)
        self._journal = MemoryJournal(JournalSettings("nats://simulated", "simulation"), self._now)
        self._endpoints = Endpoints(self._weather)
        self._outcome = Outcome()
        self._lanes: list[Lane] = []
        self._bug: BaseException | None = None

    def result(self) -> Outcome:
        with _service_logs(None):
            try:
                self._loop.run_until_complete(self._live())
            except Violation as violation:
                self._outcome.violation = violation
            except Stuck as stuck:
                self._outcome.violation = Violation("every_delivery_ends", str(stuck))
            finally:
                self._loop.end()
        return self._outcome

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=self._loop.time())

    async def _live(self) -> None:
        self._start()
        raging = asyncio.create_task(self._rage())
        await self._tell_story()
        await self._until(lambda: self._loop.time() > STORM_SECONDS, CALM_SECONDS)
        raging.cancel()
        self._weather.clear_up()
        for endpoint_id in sorted(self._disabled()):
            await self._say(e.WebhookEnabled(at=self._now(), endpoint_id=endpoint_id, by="simulation"))
        if not await self._until(self._is_over, CALM_SECONDS):
            raise Violation("every_delivery_ends", f"open: {sorted(self._open())}")
        self._judge()

    # the story, and the one who breaks things

    async def _tell_story(self) -> None:
        for number in range(ENDPOINTS):
            await self._say(self._endpoint(number))
        for number in range(BATCHES):
            await asyncio.sleep(self._random.random() * 4)
            await self._say_batch(number)
            if self._random.random() < 0.1:
                await self._say(e.WebhookDeleted(at=self._now(), endpoint_id=_endpoint_id(0), by="simulation"))

    def _endpoint(self, number: int) -> e.WebhookCreated:
        types = tuple(self._random.sample(sorted(NAMES.values()), 1 + int(self._random.random() * 4)))
        return msgspec.structs.replace(
            WEBHOOK_CREATED,
            at=self._now(),
            endpoint_id=_endpoint_id(number),
            owner=self._random.choice(OWNERS),
            event_types=types,
        )

    async def _say_batch(self, number: int) -> None:
        batch_id, owner = BatchId(f"batch_{number:032x}"), self._random.choice(OWNERS)
        await self._say(msgspec.structs.replace(BATCH_CREATED, at=self._now(), batch_id=batch_id, owner=owner))
        await self._say(msgspec.structs.replace(self._random.choice(ENDS), at=self._now(), batch_id=batch_id))

    async def _say(self, event: e.Event) -> None:
        await self._journal.log.append(codec.encode(event, source="simulation"))

    async def _rage(self) -> None:
        while self._weather.violence:
            await asyncio.sleep(self._random.expovariate(self._weather.violence / 4))
            lane = self._lanes[-1]
            if self._random.random() < 0.4:
                lane.is_paused = True  # taken for dead; it goes on later, as a zombie
                self._loop.call_later(self._random.random() * 5, _go_on, lane)
                self._start()
            else:
                self._loop.kill(lane)

    # the process and its supervisor

    def _start(self) -> None:
        lane, context = self._loop.open_lane("notifier")
        self._lanes.append(lane)
        self._outcome.lives += 1
        world = Dependencies(
            journal=SimulatedJournal(self._journal, lane, self._weather, _no_orders),
            sender=self._endpoints,
            secrets=NoSecrets(),
            pid=self._outcome.lives,
            now=self._now,
            on_tried=lambda ended: None,
            on_exhausted=lambda: None,
        )
        task = self._loop.create_task(serve(world, Progress()), context=context)
        self._loop.create_task(self._watch(lane, task))

    async def _watch(self, lane: Lane, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        if error is not None and not lane.is_dead and not _is_expected(error):
            self._bug = error
        self._loop.kill(lane)
        if lane is self._lanes[-1]:
            await asyncio.sleep(self._random.random())
            self._start()

    # what must come out

    def _events(self, *kinds: type[e.Event]) -> list[e.Event]:
        decoded = (codec.decode(record) for record in self._journal._log_stream.records)
        return [event for event in decoded if isinstance(event, kinds)]

    def _disabled(self) -> set[EndpointId]:
        return {each.endpoint_id for each in self._events(e.WebhookDisabled) if isinstance(each, e.WebhookDisabled)}

    def _expected(self) -> set[tuple[EndpointId, str, str]]:
        """Endpoint, type and batch of everything that must be told, in the order of the log."""
        owners: dict[BatchId, OwnerId] = {}
        open_endpoints: dict[EndpointId, e.WebhookCreated] = {}
        disabled: set[EndpointId] = set()
        wanted: set[tuple[EndpointId, str, str]] = set()
        for event in self._events(e.Event):
            match event:
                case e.BatchCreated():
                    owners[event.batch_id] = event.owner
                case e.WebhookCreated():
                    open_endpoints[event.endpoint_id] = event
                case e.WebhookDeleted():
                    open_endpoints.pop(event.endpoint_id, None)
                    wanted = {each for each in wanted if each[0] != event.endpoint_id}
                case e.WebhookDisabled():
                    disabled.add(event.endpoint_id)
                case e.WebhookEnabled():
                    disabled.discard(event.endpoint_id)
                case e.BatchRejected() | e.BatchSealed():
                    name = NAMES[type(event)]
                    wanted |= {
                        (key, name, event.batch_id)
                        for key, each in open_endpoints.items()
                        if key not in disabled and each.owner == owners[event.batch_id] and name in each.event_types
                    }
        return wanted

    def _told(self) -> dict[DeliveryId, tuple[EndpointId, str, str]]:
        found = {}
        for event in self._events(e.WebhookQueued):
            assert isinstance(event, e.WebhookQueued)
            batch_id = msgspec.json.decode(event.body)["data"]["id"]
            found[event.delivery_id] = (event.endpoint_id, event.event_type, batch_id)
        return found

    def _open(self) -> set[tuple[EndpointId, str, str]]:
        """What is not queued yet, or queued and not ended."""
        told, ended = self._told(), self._ended()
        return self._expected() - {key for delivery_id, key in told.items() if delivery_id in ended}

    def _ended(self) -> set[DeliveryId]:
        ends: set[DeliveryId] = set()
        for event in self._events(e.WebhookDelivered, e.WebhookExhausted):
            assert isinstance(event, e.WebhookDelivered | e.WebhookExhausted)
            ends.add(event.delivery_id)
        return ends

    def _is_over(self) -> bool:
        if self._bug is not None:
            raise Violation("no_process_ends_on_a_bug", repr(self._bug))
        return not self._open()

    def _judge(self) -> None:
        queued = [event for event in self._events(e.WebhookQueued) if isinstance(event, e.WebhookQueued)]
        tries = [event for event in self._events(e.WebhookDelivered, e.WebhookFailed)]
        self._outcome.deliveries, self._outcome.posts = len(queued), self._endpoints.asked
        if len({each.delivery_id for each in queued}) != len(queued) or len(set(self._told().values())) != len(queued):
            raise Violation("one_delivery_of_each_event", f"{len(queued)} were queued")
        bodies = {each.delivery_id: each.body.encode() for each in queued}
        for delivery_id, taken in self._endpoints.taken.items():
            if taken != {bodies[DeliveryId(delivery_id)]}:
                raise Violation("one_payload_for_ever", delivery_id)
        numbers = Counter((each.delivery_id, each.attempt) for each in tries)  # type: ignore[attr-defined]  # of both
        if numbers and max(numbers.values()) > 1:
            raise Violation("a_zombie_records_nothing", str(numbers.most_common(1)))
        for event in self._events(e.WebhookDelivered):
            assert isinstance(event, e.WebhookDelivered)
            if event.delivery_id not in self._endpoints.taken:
                raise Violation("delivered_is_true", event.delivery_id)

    async def _until(self, is_so: object, seconds_max: float) -> bool:
        assert callable(is_so)
        deadline = self._loop.time() + seconds_max
        while not is_so():
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True


def _endpoint_id(number: int) -> EndpointId:
    return EndpointId(f"we_{number:032x}")


def _go_on(lane: Lane) -> None:
    lane.is_paused = False


def _no_orders(lane: Lane, order: Recorded, *, is_first: bool) -> None:
    """The notifier takes none."""


def _is_expected(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_is_expected(each) for each in error.exceptions)
    return isinstance(error, WAYS_TO_END)
