"""Requests and replies: the requests of one connection share one inbox subscription, distinguished by a number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from vbatch.journal.jetstream.connection import Connection
from vbatch.journal.jetstream.wire import STATUS
from vbatch.journal.port import Unavailable
from vbatch.journal.space_wait import SpaceWait

T = TypeVar("T")
OnReply = Callable[[Msg | None], None]
"""Called with the reply, or with None when the connection was lost before it came."""

NO_RESPONDERS = "503"
BACKOFF_FIRST_SECONDS = 0.02
BACKOFF_MAX_SECONDS = 1.0


class Requests:
    """Use it as an async context manager, inside the connection's."""

    def __init__(
        self, connection: Connection, space: SpaceWait, *, attempt_seconds: float, deadline_seconds: float
    ) -> None:
        self.connection = connection
        self.space = space
        self.attempt_seconds = attempt_seconds
        self.deadline_seconds = deadline_seconds
        self._prefix = ""
        self._count = 0
        self._waiting: dict[int, OnReply] = {}
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Requests:
        self._prefix = self.connection.new_inbox() + "."
        self._subscription = await self.connection.subscribe(self._prefix + "*", self._on_message)
        self.connection.watch(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.connection.unwatch(self)
        self.connection_lost()

    def expect(self, on_reply: OnReply) -> tuple[int, str]:
        """Return a number for `forget` and the reply subject to send with the request. `on_reply` is called at most
        once."""
        self._count += 1
        self._waiting[self._count] = on_reply
        return self._count, f"{self._prefix}{self._count}"

    def forget(self, number: int) -> None:
        self._waiting.pop(number, None)

    def connection_lost(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for on_reply in waiting.values():
            on_reply(None)

    async def request(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> Msg:
        """Make one attempt. Unavailable means that the server may or may not have received it."""
        await self.connection.wait_connected()
        answer: asyncio.Future[Msg | None] = asyncio.get_running_loop().create_future()
        number, reply = self.expect(lambda message: None if answer.done() else answer.set_result(message))
        try:
            await self.connection.send(subject, body, reply=reply, headers=headers)
            async with asyncio.timeout(self.attempt_seconds):
                message = await answer
        except TimeoutError as error:
            raise Unavailable(f"{subject}: no answer within {self.attempt_seconds:g} s") from error
        finally:
            self.forget(number)
        if message is None:
            raise Unavailable(f"{subject}: connection lost before the answer")
        if is_unheard(message):
            raise Unavailable(f"{subject}: nobody listens; is the stream or consumer there?")
        return message

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat an attempt that raises Unavailable, with growing pauses, until it succeeds or the deadline passes."""
        trouble: Exception = Unavailable("not connected")
        pause = BACKOFF_FIRST_SECONDS
        with suppress(TimeoutError):  # the deadline; the exception below gives the reason
            async with asyncio.timeout(self.deadline_seconds):
                while not self.connection.dead.is_set():
                    try:
                        return await attempt()
                    except Unavailable as error:
                        trouble = error
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, BACKOFF_MAX_SECONDS)
        raise Unavailable(f"{trouble}{self._complaint()}") from trouble

    def _complaint(self) -> str:
        complaint = self.connection.complaint
        return f" (the client last reported: {complaint})" if complaint else ""

    async def _on_message(self, message: Msg) -> None:
        on_reply = self._waiting.pop(int(message.subject[len(self._prefix) :]), None)
        if on_reply is not None:
            on_reply(message)


def is_unheard(message: Msg) -> bool:
    """Return whether no stream, consumer or API takes the subject: the server answers with this at once."""
    return message.headers is not None and message.headers.get(STATUS) == NO_RESPONDERS
