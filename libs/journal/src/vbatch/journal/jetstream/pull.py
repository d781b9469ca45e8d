"""One generation of pulling from one consumer. Anything unusual breaks it, and its owner opens the next.

Clients lose messages when they repair a pull in place; a new inbox can never be answered by a stale request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from vbatch.journal.jetstream.connection import Connection
from vbatch.journal.jetstream.wire import DESCRIPTION, STATUS
from vbatch.journal.port import Unavailable

EXPIRES_SECONDS = 30.0
HEARTBEATS_MISSED_MAX = 2
_GRACE_SECONDS = 0.5
_HEARTBEAT, _EXPIRED, _CONFLICT = "100", "408", "409"


class PullBroken(Exception):
    """This generation is over. What it returned before was in order."""


class PullRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a JetStream pull request; `expires` and `idle_heartbeat` are nanoseconds."""

    batch: int
    expires: int
    idle_heartbeat: int
    max_bytes: int = 0


def pull_request(*, messages: int, heartbeat_seconds: float, bytes_max: int = 0) -> PullRequest:
    return PullRequest(messages, int(EXPIRES_SECONDS * 1e9), int(heartbeat_seconds * 1e9), bytes_max)


class Pull:
    """One generation. `wanted` says how many requests should be outstanding. It is called after every change."""

    def __init__(self, connection: Connection, subject: str, request: PullRequest, wanted: Callable[[], int]) -> None:
        self._connection = connection
        self._subject = subject
        self._body = msgspec.json.encode(request)
        self._one_message = request.batch == 1
        self._silence_seconds = HEARTBEATS_MISSED_MAX * request.idle_heartbeat / 1e9 + _GRACE_SECONDS
        self._wanted = wanted
        self._outstanding = 0
        self._arrived: list[Msg] = []
        self._broken = ""
        self._changed = asyncio.Event()
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._heard_at = 0.0

    async def open(self) -> None:
        self._inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe(self._inbox, self._on_frame)
        self._connection.watch(self)

    async def close(self) -> None:
        self._connection.unwatch(self)
        if self._subscription is not None:
            await self._connection.unsubscribe(self._subscription)

    async def take(self) -> list[Msg]:
        """Return what has arrived, at least one message. Raises PullBroken when nothing more will come."""
        while True:
            await self._request_more()
            if self._arrived:
                arrived, self._arrived = self._arrived, []
                return arrived
            if self._broken:
                raise PullBroken(self._broken)
            await self._wait_change()

    def left_over(self) -> list[Msg]:
        """Return the messages that arrived and were not taken, for an owner that must return them."""
        left, self._arrived = self._arrived, []
        return left

    def look_again(self) -> None:
        """Call `wanted` again, because its answer may have changed."""
        self._changed.set()

    def connection_lost(self) -> None:
        self.fail("the connection was lost")

    async def _request_more(self) -> None:
        while not self._broken and self._claimed() < self._wanted():
            try:
                await self._connection.send(self._subject, self._body, reply=self._inbox)
            except Unavailable as error:
                return self.fail(str(error))
            self._outstanding += 1
            self._heard_at = asyncio.get_running_loop().time()

    def _claimed(self) -> int:
        """Return the number of outstanding requests. One for a single message counts until it is taken: only then does
        `wanted` know of it."""
        return self._outstanding + (len(self._arrived) if self._one_message else 0)

    async def _wait_change(self) -> None:
        self._changed.clear()
        if not self._outstanding:
            await self._changed.wait()
            return
        try:
            async with asyncio.timeout_at(self._heard_at + self._silence_seconds):
                await self._changed.wait()
        except TimeoutError:
            silence = asyncio.get_running_loop().time() - self._heard_at
            if silence >= self._silence_seconds:
                self.fail(f"no heartbeat for {silence:.1f} s")

    async def _on_frame(self, message: Msg) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if message.reply:
            self._arrived.append(message)
            if self._one_message:
                self._outstanding -= 1
            self._changed.set()
        else:
            self._on_status(message.headers or {})

    def _on_status(self, headers: dict[str, str]) -> None:
        status, description = headers.get(STATUS, ""), headers.get(DESCRIPTION, "").lower()
        if status == _HEARTBEAT:
            return
        if status == _EXPIRED or (status == _CONFLICT and "maxbytes" in description):
            self._outstanding -= 1
            self._changed.set()
        else:
            self.fail(f"{status} {description}")

    def fail(self, reason: str) -> None:
        """End this generation. What has arrived can still be taken."""
        self._broken = self._broken or reason
        self._changed.set()
