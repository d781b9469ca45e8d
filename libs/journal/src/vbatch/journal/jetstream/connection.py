"""The connection to the server. It reconnects without limit, notifies its watchers of a loss, and sends nothing while
down."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from vbatch.journal.port import Unavailable
from vbatch.journal.settings import MIB, JournalSettings

RECONNECT_WAIT_SECONDS = 0.25
PING_SECONDS = 10
CLOSE_SECONDS = 2.0
CANCEL_SECONDS = 0.1
FLUSH_SECONDS = 10
SEND_BUFFER_BYTES = 32 * MIB
# Never reached, because send() waits at SEND_BUFFER_BYTES: nats-py swallows a cancellation while it waits at its own
# limit.
_CLIENT_BUFFER_BYTES = 1024 * MIB


NO_KEY = "authorization: the server asks for a key, and none is set (VBATCH_NATS_NKEY_FILE)"


class _Client(Client):
    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """Return the headers. Replaces nats-py's parser, which looks at every character of every name: two thirds of a
        replay's time."""
        fields = (line.partition(":") for line in raw.decode("utf-8", "replace").split("\r\n"))
        return {name.strip(): value.strip() for name, separator, value in fields if separator}


class Watcher(Protocol):
    """An object that is notified that pending answers will never come. The call must not wait."""

    def connection_lost(self) -> None: ...


class Connection:
    """Use it as an async context manager. Leaving it is prompt even when the server is gone."""

    def __init__(self, settings: JournalSettings) -> None:
        self._settings = settings
        self._client = _Client()
        self._up = asyncio.Event()
        self._turned_away = asyncio.Event()
        self._closing = False
        self._watchers: set[Watcher] = set()
        self.dead = asyncio.Event()
        self.complaint = ""

    async def __aenter__(self) -> Connection:
        try:
            await self._connect()
        except (OSError, TimeoutError, nats.errors.Error) as error:
            await self._close()
            raise Unavailable(f"no connection to {self._settings.url}: {self._reason(error)}") from error
        except BaseException:
            await self._close()
            raise
        self._up.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    @property
    def is_connected(self) -> bool:
        return self._up.is_set() and self._client.is_connected

    @property
    def max_payload(self) -> int:
        return self._client.max_payload

    def watch(self, watcher: Watcher) -> None:
        self._watchers.add(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    def new_inbox(self) -> str:
        return self._client.new_inbox()

    async def wait_connected(self) -> None:
        """Return when sending is possible. This waits without limit, so callers set a time limit. Raises Unavailable
        once the connection is permanently closed."""
        await self._up.wait()
        if self.dead.is_set():
            raise Unavailable("the connection is closed for good; this process must be restarted")

    async def send(
        self, subject: str, body: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Pass one message to the socket, in the order of calls. Raises Unavailable when there is no connection now."""
        if not self.is_connected:
            raise Unavailable("not connected")
        try:
            await self._client.publish(subject, body, reply, dict(headers) if headers else None)
            if self._client.pending_data_size > SEND_BUFFER_BYTES:
                await self._client.flush(FLUSH_SECONDS)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable(f"could not send: {error!r}") from error

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Subscribe without nats-py's limits, which drop messages silently: the subscriber bounds what can arrive."""
        try:
            return await self._client.subscribe(subject, cb=callback, pending_msgs_limit=0, pending_bytes_limit=0)
        except nats.errors.Error as error:
            raise Unavailable(f"could not subscribe: {error!r}") from error

    async def unsubscribe(self, subscription: Subscription) -> None:
        # A subscription of a closed connection is gone as well.
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()

    async def _connect(self) -> None:
        """Connect within the time allowed, even where nats-py swallows a cancellation and would try without end."""
        # One dict of options with mixed types.
        trying = asyncio.ensure_future(self._client.connect(**self._options()))  # type: ignore[arg-type]
        turned_away = asyncio.ensure_future(self._turned_away.wait())
        try:
            seconds = self._settings.connect_seconds
            await asyncio.wait([trying, turned_away], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if trying.done():
                return trying.result()
        finally:
            turned_away.cancel()
            while not trying.done():
                trying.cancel()
                await asyncio.wait([trying], timeout=CANCEL_SECONDS)
        raise TimeoutError(self.complaint)

    def _reason(self, error: Exception) -> str:
        return NO_KEY if self._lacks_key else str(error) or self.complaint

    @property
    def _lacks_key(self) -> bool:
        """Return whether the server refuses us because we have no key. It first says whether it asks for a key; if we
        give none, either an error message or a connection reset may follow."""
        has_key = self._settings.nkey_seed or self._settings.credentials_file
        return bool(self._client._server_info.get("auth_required")) and not has_key

    def _options(self) -> dict[str, object]:
        settings = self._settings
        options: dict[str, object] = {
            "servers": settings.servers,
            "name": settings.name,
            "inbox_prefix": f"_INBOX_{settings.name}",
            "connect_timeout": settings.connect_seconds,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_WAIT_SECONDS,
            "ping_interval": PING_SECONDS,
            "max_outstanding_pings": 2,
            "pending_size": _CLIENT_BUFFER_BYTES,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_disconnected,
            "reconnected_cb": self._on_reconnected,
            "closed_cb": self._on_closed,
        }
        if settings.ca_file is not None:
            options["tls"] = ssl.create_default_context(cafile=str(settings.ca_file))
        if settings.nkey_seed:
            options["nkeys_seed_str"] = settings.nkey_seed
        if settings.credentials_file:
            options["user_credentials"] = str(settings.credentials_file)
        return options

    async def _on_error(self, error: Exception) -> None:
        self.complaint = str(error) or repr(error)
        if self._lacks_key:
            self._turned_away.set()

    async def _on_disconnected(self) -> None:
        self._up.clear()
        # nats-py would send these first after the reconnect, ahead of older messages that the dead socket swallowed.
        self._client._pending.clear()
        self._client._pending_data_size = 0
        for watcher in list(self._watchers):
            watcher.connection_lost()

    async def _on_reconnected(self) -> None:
        self._up.set()

    async def _on_closed(self) -> None:
        if not self._closing:
            self.dead.set()
            self._up.set()  # wakes wait_connected, which then raises

    async def _close(self) -> None:
        self._closing = True
        # RuntimeError: uvloop's transport is already closed when the server died first.
        with contextlib.suppress(TimeoutError, OSError, RuntimeError, nats.errors.Error):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.close()
