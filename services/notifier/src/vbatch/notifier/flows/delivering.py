"""Queues deliveries, tries those that are due, and records the results: each step is recorded before the next one
begins."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import encode
from vbatch.contracts.ids import DeliveryId, EndpointId
from vbatch.contracts.message import MESSAGE_ID_HEADER, Recorded
from vbatch.contracts.webhooks import DeliveryFault
from vbatch.journal.port import Full, Unavailable
from vbatch.journal.single_writer import Deciding, SingleWriter
from vbatch.notifier.core import signing
from vbatch.notifier.core.decide import after_try, is_exhausted, next_moment, to_try
from vbatch.notifier.core.schedule import Answer
from vbatch.notifier.core.state import Delivery, Endpoint, State
from vbatch.notifier.ports import Dependencies, SecretMissing

SOURCE = "notifier"
REST_SECONDS_MAX = 30.0
"""The longest pause between two checks for due deliveries: the clock of the machine may be changed."""
RETRY_SECONDS = 1.0
EXHAUSTED = "webhook_exhausted"


class Delivering:
    """Works on a state that another task folds. That task sets `changed` whenever the state has changed."""

    def __init__(self, dependencies: Dependencies, state: State, writer: SingleWriter) -> None:
        self._dependencies = dependencies
        self._state = state
        self._writer = writer
        self._in_flight: set[tuple[EndpointId, DeliveryId]] = set()
        self.changed = asyncio.Event()

    @property
    def in_flight_count(self) -> int:
        return len(self._in_flight)

    async def run(self) -> None:
        """Run until cancelled, once all the past is folded. Raises Fenced when a newer process has taken over."""
        await self._writer.position.caught_up()
        get_logger().info("notifier_caught_up", endpoints=len(self._state.endpoints))
        async with asyncio.TaskGroup() as tasks:
            await Deciding(
                writer=self._writer,
                decide=lambda: list(self._state.due.values()),
                append=self._queue,
                act=partial(self._start_tries, tasks),
                changed=self.changed,
            ).run()

    async def _queue(self, queued: e.Event) -> None:
        await self._record([queued])
        reached(Failpoint.DELIVERY_QUEUED)

    async def _start_tries(self, tasks: asyncio.TaskGroup) -> float:
        """Start the tries that are due; return the seconds until the next delivery becomes due."""
        now = self._dependencies.now()  # one moment for both: otherwise a delivery could become due between them unseen
        for delivery in to_try(self._state, self._in_flight, now):
            self._in_flight.add(_key(delivery))
            tasks.create_task(self._try(delivery))
        ripens = next_moment(self._state, now)
        return REST_SECONDS_MAX if ripens is None else min((ripens - now).total_seconds(), REST_SECONDS_MAX)

    async def _try(self, delivery: Delivery) -> None:
        """Make one try, from the secret to the event; the place in flight is freed once the event is folded."""
        try:
            endpoint = self._state.endpoints.get(delivery.queued.endpoint_id)
            if endpoint is None:
                return
            answer = await self._post(endpoint, delivery)
            reached(Failpoint.DELIVERY_POSTED)
            endpoint = self._state.endpoints.get(endpoint.id)
            if endpoint is None:
                return
            events = after_try(endpoint, delivery, answer, self._dependencies.now())
            await self._settle(delivery, events)
            self._dependencies.on_tried(answer.fault or str(answer.status_code))
        finally:
            self._in_flight.discard(_key(delivery))
            self.changed.set()

    async def _post(self, endpoint: Endpoint, delivery: Delivery) -> Answer:
        now, queued = self._dependencies.now(), delivery.queued
        try:
            secrets = [await self._secret(reference) for reference in endpoint.secret_refs(now)]
        except SecretMissing as error:
            get_logger().error("webhook_secret_lost", endpoint_id=endpoint.id, reason=str(error))
            return Answer(0, fault=DeliveryFault.SECRET_LOST)
        headers = signing.headers(queued.delivery_id, int(now.timestamp()), queued.body, secrets)
        return await self._dependencies.sender.post(endpoint.url, headers, queued.body.encode())

    async def _secret(self, reference: str) -> bytes:
        return await asyncio.to_thread(self._dependencies.secrets.read, reference)

    async def _settle(self, delivery: Delivery, events: Sequence[e.Event]) -> None:
        if is_exhausted(events):
            await self._bury(delivery)
            self._dependencies.on_exhausted()
        await self._record(events)
        reached(Failpoint.DELIVERY_RECORDED)
        for event in events:
            if isinstance(event, e.WebhookDisabled):
                get_logger().warning("webhook_disabled", endpoint_id=event.endpoint_id, reason=event.reason)

    async def _bury(self, delivery: Delivery) -> None:
        """Store the delivery as a dead letter, before the event that says so: storing it twice has no further
        effect."""
        message = encode(delivery.queued, source=SOURCE)
        headers = {**message.headers, MESSAGE_ID_HEADER: message.message_id}
        record = Recorded(delivery.sequence, message.subject, headers, message.body, delivery.queued.at)
        while True:
            try:
                await self._dependencies.journal.dead.append(record, EXHAUSTED)
                return
            except (Unavailable, Full) as error:
                await self._wait_for_log(error)

    async def _record(self, events: Sequence[e.Event]) -> None:
        """Record all events or none; return once they are folded. Waits while the log is unreachable or full."""
        while True:
            try:
                sequence = await self._writer.append(*events)
                break
            except (Unavailable, Full) as error:
                await self._wait_for_log(error)
        await self._writer.position.wait_for(sequence)

    async def _wait_for_log(self, error: Exception) -> None:
        get_logger().warning("webhook_events_wait", reason=str(error))
        await asyncio.sleep(RETRY_SECONDS)


def _key(delivery: Delivery) -> tuple[EndpointId, DeliveryId]:
    return delivery.queued.endpoint_id, delivery.queued.delivery_id
