"""The WORK stream: orders are put once, and taken one by one with explicit, confirmed acknowledgements.

While a delivery is unsettled, the queue tells the server so. Acknowledgements confirm work; they never fence a worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec
from nats.aio.msg import Msg

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.jetstream import wire
from vbatch.journal.jetstream.background import beside
from vbatch.journal.jetstream.dead import JetStreamDeadLetters
from vbatch.journal.jetstream.pull import Pull, PullBroken, pull_request
from vbatch.journal.jetstream.requests import BACKOFF_FIRST_SECONDS, Requests
from vbatch.journal.jetstream.stream import Stream
from vbatch.journal.port import Origin, Unavailable
from vbatch.journal.rules import check_filter
from vbatch.journal.settings import JournalSettings

HEARTBEATS_PER_ACK_WAIT = 4
ACK_PENDING_MAX = 1000
FORGOTTEN_SECONDS = 3_600.0
"""The server drops a consumer that was unused for this long; taking under its name creates it again."""
UNCONFIRMED_MAX = 1000
_ACK, _NAK, _TERM, _PROGRESS = b"+ACK", b"-NAK", b"+TERM", b"+WPI"
_FINAL = (_ACK, _TERM)


class ConsumerConfig(msgspec.Struct, frozen=True):
    durable_name: str
    name: str
    filter_subject: str
    ack_wait: int
    deliver_policy: str = "all"
    replay_policy: str = "instant"
    ack_policy: str = "explicit"
    max_ack_pending: int = ACK_PENDING_MAX
    inactive_threshold: int = int(FORGOTTEN_SECONDS * 1e9)
    max_deliver: int = -1  # this queue makes dead letters of messages delivered too often, so that they stay visible


class CreateConsumer(msgspec.Struct, frozen=True):
    stream_name: str
    config: ConsumerConfig


class JetStreamDelivery:
    def __init__(self, taker: Taker, message: Recorded, delivery_count: int, reply: str) -> None:
        self._taker = taker
        self.message = message
        self.delivery_count = delivery_count
        self.reply = reply
        self.is_settled = False

    async def ack(self) -> None:
        await self._settle(_ACK)

    async def nak(self, delay_seconds: float = 0.0) -> None:
        delay = b' {"delay": %d}' % int(delay_seconds * 1e9) if delay_seconds > 0 else b""
        await self._settle(_NAK + delay)

    async def dead_letter(self, reason: str) -> None:
        self._check_open()
        await self._taker.dead.append(self.message, reason, Origin.WORK)
        await self._settle(_TERM)

    async def _settle(self, verdict: bytes) -> None:
        self._check_open()
        await self._taker.settle(self, verdict)
        self.is_settled = True

    def _check_open(self) -> None:
        if self.is_settled:
            raise RuntimeError(f"{self.message.subject} {self.message.sequence} was settled before")


class Taker(AsyncIterator[JetStreamDelivery]):
    """One reader of one durable consumer. Cancelling a pending `anext` loses nothing."""

    def __init__(
        self,
        requests: Requests,
        settings: JournalSettings,
        dead: JetStreamDeadLetters,
        *,
        subject: str,
        consumer: str,
    ) -> None:
        check_filter(subject)
        self.dead = dead
        self._requests = requests
        self._settings = settings
        self._subject = subject
        self._consumer = consumer
        self._held: dict[int, JetStreamDelivery] = {}
        self._arrived: list[JetStreamDelivery] = []
        self._unconfirmed: dict[int, bytes] = {}
        self._pull: Pull | None = None

    async def __anext__(self) -> JetStreamDelivery:
        while True:
            if not self._arrived:
                await self._receive()
                continue
            delivery = self._arrived.pop(0)
            if delivery.delivery_count <= self._settings.work_deliveries_max:
                return delivery
            await delivery.dead_letter(f"delivered {delivery.delivery_count} times and never settled")

    async def settle(self, delivery: JetStreamDelivery, verdict: bytes) -> None:
        """Ask the server to confirm the verdict, and remember it when no confirmation comes.

        A server that is killed at this moment forgets the delivery and ignores the verdict; when it delivers the
        message again, the message is settled as before and not handed out.
        """
        sequence = delivery.message.sequence
        self._held.pop(sequence, None)  # first, because a redelivery can overtake the confirmation
        try:
            async with asyncio.timeout(self._requests.attempt_seconds):
                await self._requests.request(delivery.reply, verdict)
        except (Unavailable, TimeoutError):
            if verdict in _FINAL:
                self._remember(sequence, verdict)
        if self._pull is not None:
            self._pull.look_again()

    def _remember(self, sequence: int, verdict: bytes) -> None:
        self._unconfirmed[sequence] = verdict
        if len(self._unconfirmed) > UNCONFIRMED_MAX:
            del self._unconfirmed[next(iter(self._unconfirmed))]

    async def keep_alive(self) -> None:
        """Tell the server, until cancelled, that every unsettled delivery is still being processed."""
        while True:
            await asyncio.sleep(self._settings.ack_wait_seconds / HEARTBEATS_PER_ACK_WAIT)
            await self._tell_all(_PROGRESS)

    async def aclose(self) -> None:
        """Return the unsettled deliveries at once, instead of after the acknowledgement wait."""
        if self._pull is not None:
            await self._accept(self._pull.left_over())
        await self._drop_pull()
        await self._tell_all(_NAK)

    async def _receive(self) -> None:
        pull = self._pull or await self._open()
        try:
            await self._accept(await pull.take())
        except PullBroken:
            await self._drop_pull()
            await asyncio.sleep(BACKOFF_FIRST_SECONDS)

    async def _accept(self, messages: list[Msg]) -> None:
        deliveries = [self._delivery(message) for message in messages]
        for repeated in [delivery for delivery in deliveries if not self._hold(delivery)]:
            await self._notify(repeated, self._unconfirmed.get(repeated.message.sequence, _PROGRESS))

    def _hold(self, delivery: JetStreamDelivery) -> bool:
        """Return whether the delivery is new. If it is still held, only its reply subject changes; if it is settled, it
        is ignored."""
        sequence = delivery.message.sequence
        if sequence in self._unconfirmed:
            return False
        if sequence in self._held:
            self._held[sequence].reply = delivery.reply
            return False
        self._held[sequence] = delivery
        self._arrived.append(delivery)
        return True

    def _delivery(self, message: Msg) -> JetStreamDelivery:
        tokens = wire.delivery_tokens(message.reply)
        return JetStreamDelivery(self, wire.recorded(message, tokens), tokens.delivery_count, message.reply)

    def _wanted(self) -> int:
        return 1 if len(self._held) < self._settings.work_in_flight_max else 0

    async def _tell_all(self, verdict: bytes) -> None:
        for delivery in list(self._held.values()):
            await self._notify(delivery, verdict)

    async def _notify(self, delivery: JetStreamDelivery, verdict: bytes) -> None:
        with suppress(Unavailable):  # the next round, or the acknowledgement wait, repeats it
            await self._requests.connection.send(delivery.reply, verdict)

    async def _open(self) -> Pull:
        while True:
            await self._requests.connection.wait_connected()
            try:
                await self._requests.persist(self._provide_consumer)
                break
            except Unavailable:
                if self._requests.connection.is_connected or self._requests.connection.dead.is_set():
                    raise
        request = pull_request(messages=1, heartbeat_seconds=self._settings.heartbeat_seconds)
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._settings.work_stream}.{self._consumer}"
        pull = Pull(self._requests.connection, subject, request, self._wanted)
        await pull.open()
        self._pull = pull
        return pull

    async def _drop_pull(self) -> None:
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.close()

    async def _provide_consumer(self) -> None:
        """Look for the consumer before creating it: a worker may be allowed to use a consumer that it may not
        create."""
        stream, name = self._settings.work_stream, self._consumer
        reply = await self._requests.request(f"$JS.API.CONSUMER.INFO.{stream}.{name}", b"")
        error = wire.answers.decode(reply.data).error
        if error is not None and error.err_code == wire.CONSUMER_NOT_FOUND:
            config = ConsumerConfig(name, name, self._subject, int(self._settings.ack_wait_seconds * 1e9))
            body = msgspec.json.encode(CreateConsumer(stream, config))
            reply = await self._requests.request(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}", body)
            error = wire.answers.decode(reply.data).error
        if error is not None:
            raise wire.reader_refusal(error, f"taking {self._subject} as {name}")


class JetStreamWorkQueue:
    def __init__(self, requests: Requests, settings: JournalSettings, dead: JetStreamDeadLetters) -> None:
        self._stream = Stream(requests, settings, settings.work_stream)
        self._requests = requests
        self._settings = settings
        self._dead = dead

    async def put(self, message: Message) -> int:
        return await self._stream.append(message)

    async def is_awaited(self, consumer: str) -> bool:
        """Return whether a pull waits at the server, which forgets the pull when the connection of its sender is
        gone."""

        async def attempt() -> bool:
            reply = await self._requests.request(f"$JS.API.CONSUMER.INFO.{self._settings.work_stream}.{consumer}", b"")
            answer = wire.consumer_answers.decode(reply.data)
            if answer.error is None:
                return answer.num_waiting > 0
            if answer.error.err_code == wire.CONSUMER_NOT_FOUND:
                return False
            raise Unavailable(f"consumer {consumer}: {answer.error.description}")

        return await self._requests.persist(attempt)

    @asynccontextmanager
    async def take(self, subject: str, consumer: str) -> AsyncIterator[AsyncIterator[JetStreamDelivery]]:
        taker = Taker(self._requests, self._settings, self._dead, subject=subject, consumer=consumer)
        try:
            async with beside(taker.keep_alive()):
                yield taker
        finally:
            await taker.aclose()
