"""One client connection: uvicorn's, with limits on the time and the bytes of a request's head, and with our error
envelope even when no request can be parsed.

uvicorn waits for a head forever and keeps all of it, so idle sockets or an endless header would exhaust the process.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from vbatch.gateway.adapters.http.answers import refusal_answer
from vbatch.gateway.adapters.http.client_signals import EXTENSION, ClientSignals
from vbatch.gateway.adapters.http.joined_writes import JoinedWrites
from vbatch.gateway.adapters.http.request_middleware import new_request_id, openai_headers
from vbatch.gateway.core.refusals import Reason, Refusal

HEAD_BYTES_MAX = 65_536
"""The largest request line with its headers."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`head_seconds` is the time for a complete head, from its first byte or, on a new connection, from the start."""

    head_seconds: float
    connections_max: int


class Connection(HttpToolsProtocol):
    """`connection_class` makes the subclass that has limits."""

    limits: ClassVar[ConnectionLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(JoinedWrites(transport, self.loop))
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_head = False
        self._signals = ClientSignals()
        self._head_bytes = 0
        if len(self.connections) > self.limits.connections_max:
            self._refuse(Refusal(Reason.TOO_MANY_CONNECTIONS, "The server has too many open connections."))
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)
        self._signals.leave()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        timer = self._head_timer
        super().data_received(data)
        if self._is_in_head and self._head_timer is None:  # most heads arrive whole and need no timer
            self._await_head()
        elif timer is not None and timer is self._head_timer:  # all of it belongs to a head that is not complete yet
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                words = f"The head of your request is larger than {HEAD_BYTES_MAX} bytes."
                self._refuse(Refusal(Reason.HEAD_TOO_LARGE, words))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        self._head_came()
        self._signals = ClientSignals()
        self.scope["extensions"] = {EXTENSION: self._signals}  # type: ignore[dict-item]  # any value, says ASGI
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._signals.has_whole_body = True

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP; the name is uvicorn's."""
        self._refuse(Refusal(Reason.BODY_UNREADABLE, msg))

    def _await_head(self) -> None:
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self.limits.head_seconds, self._on_head_late)

    def _head_came(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_late(self) -> None:
        self._head_timer = None
        self._refuse(Refusal(Reason.HEAD_TOO_SLOW, "The head of your request did not arrive in time."))

    def _refuse(self, refusal: Refusal) -> None:
        """Send the refusal, unless an answer is already being sent on this connection, and close."""
        if self.transport.is_closing():
            return
        self._head_came()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_as_bytes(refusal))
        self.transport.close()


def connection_class(limits: ConnectionLimits) -> type[Connection]:
    """Return a class with the shared limits: uvicorn itself makes the connections from it."""
    return type("LimitedConnection", (Connection,), {"limits": limits})


def _as_bytes(refusal: Refusal) -> bytes:
    """Return the complete answer as bytes on the wire."""
    answer = refusal_answer(refusal)
    headers = [*answer.raw_headers, *openai_headers(new_request_id(), seconds=0.0), (b"connection", b"close")]
    lines = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
    return STATUS_LINE[answer.status_code] + lines + b"\r\n" + bytes(answer.body)
