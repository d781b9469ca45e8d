"""Pipelined appends under one lease: bounded, in order, each stored once, whatever happens to the connection.

The order depends on three facts: one connection is read in order; nothing is sent while it is down; and after any doubt
the oldest unstored message is sent alone. Only when it is stored do the others follow, distinguished by their ids.

On a full stream one message can be refused and a smaller one behind it stored. If writes wait for room, the refused
message is therefore stored out of order; the calls of `on_stored` stay in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from nats.aio.msg import Msg

from vbatch.contracts.message import Message
from vbatch.journal.jetstream.background import beside
from vbatch.journal.jetstream.requests import OnReply, Requests, is_unheard
from vbatch.journal.jetstream.stream import Envelope, Stream, stored_sequence
from vbatch.journal.port import Conflict, Full, Lease, Rejected, Unavailable
from vbatch.journal.settings import JournalSettings
from vbatch.journal.space_wait import OnRefusal

Failure = Conflict | Full | Rejected | Unavailable
OnStored = Callable[[int], None]
OnRefused = Callable[[Rejected], None]


@dataclass(slots=True, eq=False)
class _Sent:
    envelope: Envelope
    on_stored: OnStored | None
    on_refused: OnRefused | None = None
    sent_at: float = 0.0
    sequence: int = 0
    number: int = 0


class JetStreamPublisher:
    def __init__(self, requests: Requests, settings: JournalSettings, stream: Stream, lease: Lease | None) -> None:
        self._requests = requests
        self._settings = settings
        self._stream = stream
        self._guard = lease.guard() if lease else None
        self._in_flight_max = settings.guarded_in_flight_max if lease else settings.in_flight_messages_max
        self._unstored: deque[_Sent] = deque()
        self._bytes = 0
        self._last = 0
        self._failure: Failure | None = None
        self._recovering = False
        self._in_doubt = asyncio.Event()
        self._refused = ""
        self._turn = asyncio.Lock()  # keeps concurrent publishers in the order of their calls
        self._moved = asyncio.Event()

    async def publish(
        self, message: Message, on_stored: OnStored | None = None, on_refused: OnRefused | None = None
    ) -> None:
        try:
            envelope = self._stream.envelope(message, self._guard)
        except Rejected as refusal:
            if on_refused is None:
                raise
            on_refused(refusal)
            return
        async with self._turn:
            await self._until(lambda: self._has_room(envelope.size))
            sent = _Sent(envelope, on_stored, on_refused)
            self._unstored.append(sent)
            self._bytes += envelope.size
            await self._send(sent)

    async def flush(self) -> int:
        await self._until(lambda: not self._unstored)
        return self._last

    async def keep(self) -> None:
        """Resolve doubts until cancelled. This runs beside the publisher while it is open."""
        while self._failure is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._requests.attempt_seconds / 4):
                    await self._in_doubt.wait()
            if self._in_doubt.is_set() or self._is_overdue():
                await self._recover()

    def _has_room(self, size: int) -> bool:
        if self._recovering or self._in_doubt.is_set():
            return False
        bytes_fit = self._bytes + size <= self._settings.in_flight_bytes_max or not self._unstored
        return bytes_fit and len(self._unstored) < self._in_flight_max

    async def _until(self, holds: Callable[[], bool]) -> None:
        while True:
            if self._failure is not None:
                raise type(self._failure)(str(self._failure)) from self._failure
            if holds():
                return
            self._moved.clear()
            await self._moved.wait()

    async def _send(self, sent: _Sent) -> None:
        self._requests.forget(sent.number)
        sent.number, reply = self._requests.expect(self._reply_to(sent))
        sent.sent_at = asyncio.get_running_loop().time()
        envelope = sent.envelope
        try:
            self._requests.space.check_disk()
            await self._requests.connection.send(envelope.subject, envelope.body, reply=reply, headers=envelope.headers)
        except Unavailable:
            self._doubt()
        except Full as failure:
            self._refuse(failure)

    def _reply_to(self, sent: _Sent) -> OnReply:
        return lambda message: self._on_reply(sent, message)

    def _on_reply(self, sent: _Sent, message: Msg | None) -> None:
        if message is None or is_unheard(message):
            return self._doubt()
        try:
            sent.sequence = stored_sequence(message.data, sent.envelope.subject)
        except Unavailable:
            self._doubt()
        except Rejected as refusal:
            self._leave_out(sent, refusal)
        except (Conflict, Full) as failure:
            self._refuse(failure)
        else:
            self._settle()

    def _leave_out(self, sent: _Sent, refusal: Rejected) -> None:
        """Leave out a message that the server will never take. The messages behind it are still stored."""
        if sent.on_refused is None:
            return self._fail(refusal)
        if sent in self._unstored:
            self._unstored.remove(sent)
            self._bytes -= sent.envelope.size
            sent.on_refused(refusal)
        self._settle()

    def _refuse(self, failure: Conflict | Full) -> None:
        if isinstance(failure, Full) and self._settings.waits_for_space:
            self._refused = str(failure)
            self._doubt()
        else:
            self._fail(failure)

    def _settle(self) -> None:
        self._moved.set()
        while self._failure is None and self._unstored and self._unstored[0].sequence:
            sent = self._unstored.popleft()
            self._bytes -= sent.envelope.size
            self._last = sent.sequence
            if sent.on_stored is not None:
                sent.on_stored(sent.sequence)

    def _doubt(self) -> None:
        self._in_doubt.set()

    def _fail(self, failure: Failure) -> None:
        self._failure = self._failure or failure
        self.forget_replies()
        self._moved.set()

    def _is_overdue(self) -> bool:
        if not self._unstored:
            return False
        waited = asyncio.get_running_loop().time() - self._unstored[0].sent_at
        return waited > self._requests.attempt_seconds

    async def _recover(self) -> None:
        self._recovering = True
        try:
            with self._requests.space.waiting() as refused:
                await self._pause_if_refused(refused)
                self._in_doubt.clear()
                self.forget_replies()
                if self._unstored:
                    await self._store_first(refused)
            for sent in list(self._unstored):
                if self._in_doubt.is_set():
                    break  # lost again: the messages behind it must not overtake this one
                if not sent.sequence:
                    await self._send(sent)
        except (Conflict, Full, Unavailable) as failure:
            self._fail(failure)
        finally:
            self._recovering = False
            self._moved.set()

    async def _pause_if_refused(self, refused: OnRefusal) -> None:
        """Pause before the next try. The messages behind the refused one are answered meanwhile, so they need not be
        sent again."""
        text, self._refused = self._refused, ""
        if text:
            refused(text)
            await self._requests.space.pause()

    async def _store_first(self, refused: OnRefusal) -> None:
        """Store the oldest message alone. While its lease is current, the server treats a guarded message that was
        stored before as a duplicate."""
        first = self._unstored[0]
        envelope = first.envelope

        async def attempt() -> int:
            self._requests.space.check_disk()
            reply = await self._requests.request(envelope.subject, envelope.body, envelope.headers)
            return stored_sequence(reply.data, envelope.subject)

        while not first.sequence:
            try:
                first.sequence = await self._requests.persist(attempt)
            except Rejected as refusal:
                return self._leave_out(first, refusal)
            except Full as error:
                if not self._settings.waits_for_space:
                    raise
                refused(str(error))
                await self._requests.space.pause()
        self._settle()

    def forget_replies(self) -> None:
        for sent in self._unstored:
            self._requests.forget(sent.number)


@asynccontextmanager
async def publishing(
    requests: Requests, settings: JournalSettings, stream: Stream, lease: Lease | None
) -> AsyncIterator[JetStreamPublisher]:
    publisher = JetStreamPublisher(requests, settings, stream, lease)
    try:
        async with beside(publisher.keep()):
            yield publisher
            await publisher.flush()
    finally:
        publisher.forget_replies()
