"""Wraps every request: its path as routes match it, an id, OpenAI's headers, a log line, metrics, and an answer even
after a bug."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from time import perf_counter

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vbatch.chassis.logs import bind_task, get_logger, log_frequent
from vbatch.gateway.adapters.http.answers import refusal_answer
from vbatch.gateway.adapters.http.client_signals import ClientSignals, signals_of
from vbatch.gateway.adapters.http.encodings import unpacked
from vbatch.gateway.adapters.http.errors import server_fault
from vbatch.gateway.adapters.http.paths import routed_path
from vbatch.gateway.adapters.http.raw_headers import header_in
from vbatch.gateway.adapters.http.request_metrics import Answered, RequestMetrics
from vbatch.gateway.core.refusals import Reason, Refusal

OPENAI_VERSION = b"2020-10-01"
NO_ORGANIZATION = "vbatch"
PROJECT = b"default"  # this server has only owners; some clients log the project
CLIENT_LEFT = 499  # nginx's status for a client that has disconnected; no client reads it
QUIET_ROUTES = frozenset({"/health", "/ready", "/metrics"})


@dataclass(frozen=True, slots=True)
class BodyTimeouts:
    """How long to wait for the body of a request: without receiving any bytes, and in total."""

    silence_seconds: float
    body_seconds: float


class RequestMiddleware:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, body_timeouts: BodyTimeouts) -> None:
        self._app = app
        self._metrics = metrics
        self._patience = body_timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if raw_path := scope.get("raw_path"):
            scope["path"] = routed_path(raw_path)
        answering, body = _Answering(scope, send), _Body(receive, self._patience, signals_of(scope))
        scope.setdefault("state", {})["request_id"] = answering.request_id
        bind_task(request_id=answering.request_id)
        self._metrics.in_flight += 1
        try:
            encodings = header_in(scope, b"content-encoding") or ""
            await self._answer(scope, unpacked(body.receive, encodings), answering)
        finally:
            self._metrics.in_flight -= 1
            _charge(scope, body.received_bytes)
            self._log_request(scope, answering, body.received_bytes)

    async def _answer(self, scope: Scope, receive: Receive, answering: _Answering) -> None:
        try:
            await self._app(scope, receive, answering.send)
        except ClientDisconnect:
            answering.status = CLIENT_LEFT
        except Exception:  # a bug, or an error in the middle of a stream; if bytes were sent, the connection is cut
            get_logger().exception("request_failed", method=scope["method"], path=scope["path"])
            if answering.status is not None:
                raise
            await refusal_answer(server_fault())(scope, receive, answering.send)

    def _log_request(self, scope: Scope, answering: _Answering, received_bytes: int) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        status, seconds = answering.status or CLIENT_LEFT, perf_counter() - answering.started
        answered = Answered(
            request_id=answering.request_id,
            method=scope["method"],
            route=route,
            status=status,
            seconds=seconds,
            first_byte_seconds=answering.first_byte_seconds,
            received_bytes=received_bytes,
            sent_bytes=answering.sent_bytes,
            refusal=scope.get("state", {}).get("refusal"),
        )
        self._metrics.answered(answered)
        if route not in QUIET_ROUTES:
            log_frequent(
                "request_answered",
                request_id=answering.request_id,
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 1),
                key=scope.get("state", {}).get("caller"),
            )


def _charge(scope: Scope, size: int) -> None:
    """Report how many bytes came, if the request has an admitted caller who is charged for them."""
    on_received = scope.get("state", {}).get("on_received")
    if on_received is not None and size:
        on_received(size)


class _Body:
    """The body of one request, which must keep arriving: a client that sends nothing is refused, because it occupies a
    place."""

    def __init__(self, receive: Receive, body_timeouts: BodyTimeouts, client: ClientSignals) -> None:
        self._receive = receive
        self._client = client
        self._silence_seconds = body_timeouts.silence_seconds
        self._ends_at = perf_counter() + body_timeouts.body_seconds
        self._is_whole = False
        self.received_bytes = 0

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        message = await (self._receive() if self._client.has_whole_body else self._in_time())
        self._is_whole = not message.get("more_body", False)
        self.received_bytes += len(message.get("body", b""))
        return message

    async def _in_time(self) -> Message:
        """Raises Refusal."""
        try:
            async with asyncio.timeout(min(self._silence_seconds, self._ends_at - perf_counter())):
                return await self._receive()
        except TimeoutError as error:
            raise Refusal(Reason.BODY_TOO_SLOW, "The body of your request did not arrive in time.") from error


class _Answering:
    """One answer while it is being sent."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = new_request_id()
        self.started = perf_counter()
        self.status: int | None = None
        self.first_byte_seconds: float | None = None
        self.sent_bytes = 0
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.first_byte_seconds = perf_counter() - self.started
            message["headers"] = [*message.get("headers", ()), *self._headers()]
        await self._send(message)
        self.sent_bytes += len(message.get("body", b""))

    def _headers(self) -> list[tuple[bytes, bytes]]:
        state = self._scope.get("state", {})
        seconds = perf_counter() - self.started
        headers = openai_headers(self.request_id, seconds=seconds, organization=state.get("owner", NO_ORGANIZATION))
        rates = state.get("rate_headers", {})
        return headers + [(name.encode("latin-1"), value.encode("latin-1")) for name, value in rates.items()]


def new_request_id() -> str:
    return f"req_{secrets.token_hex(16)}"


def openai_headers(
    request_id: str, *, seconds: float, organization: str = NO_ORGANIZATION
) -> list[tuple[bytes, bytes]]:
    """Return the headers that OpenAI sends with every answer, whatever its status."""
    return [
        (b"x-request-id", request_id.encode("latin-1")),
        (b"openai-version", OPENAI_VERSION),
        (b"openai-organization", organization.encode("latin-1")),
        (b"openai-project", PROJECT),
        (b"openai-processing-ms", str(round(seconds * 1000)).encode()),
    ]
