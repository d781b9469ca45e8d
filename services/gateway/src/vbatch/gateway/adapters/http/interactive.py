"""The routes that answer at once: OpenAI's own for chat, completions, responses and embeddings, and vLLM's for scores.

Bodies and answers pass unchanged. A stream is passed on event by event as the engine makes it; if the engine is lost in
the middle of a stream, the stream ends with an error event and never looks complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from vbatch.chassis.logs import get_logger
from vbatch.contracts.access import Scope as AccessScope
from vbatch.contracts.endpoints import (
    CHAT_COMPLETIONS,
    COMPLETIONS,
    EMBEDDINGS,
    RERANK,
    RESPONSES,
    SCORE,
)
from vbatch.contracts.lane import BODY_BYTES_MAX
from vbatch.gateway.adapters.http.answers import JSON, refusal_answer
from vbatch.gateway.adapters.http.app_state import AppState, UsingCaller, admitted, limit_interactive, still
from vbatch.gateway.adapters.http.client_signals import signals_of
from vbatch.gateway.adapters.http.describe import Description, body, errors
from vbatch.gateway.adapters.http.request_middleware import RequestMiddleware
from vbatch.gateway.adapters.interactive_metrics import InteractiveMetrics, InteractiveResult
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.answer_usage import usage_in, usage_in_events
from vbatch.gateway.core.interactive import (
    ENGINE_LOST_MESSAGE,
    EventSplitter,
    InteractiveRequest,
    error_event,
    parse_interactive,
)
from vbatch.gateway.core.refusals import Reason, Refusal, engine_lost, key_ended, unavailable
from vbatch.gateway.flows.interactive import Interactive, content_of
from vbatch.gateway.ports import LaneAnswer, LaneBroken, SchedulerUnavailable

READ_SECONDS_MAX = 60.0
"""How long a client may leave a stream unread before its request is withdrawn from the engine."""
COMMENT_SECONDS = 5.0
"""The time between two comments that keep the connection of a waiting stream open; the first one fixes the status of
the answer."""
COMMENT = b": waiting for the model\n\n"
EVENT_STREAM = "text/event-stream"
UNBUFFERED = {"cache-control": "no-store", "x-accel-buffering": "no"}

router = APIRouter(prefix="/v1", tags=["interactive"])


def _route(endpoint: str, words: str) -> None:
    """Add one route for each endpoint; all of them do the same."""

    async def answer(request: Request, caller: UsingCaller) -> Response:
        return await _answered(request, caller, endpoint)

    name = endpoint.removeprefix("/v1/").replace("/", "_")
    answer.__name__, answer.__doc__ = f"answer_{name}", words
    router.post(
        endpoint.removeprefix("/v1"),
        response_class=Response,
        responses={**_answers(), **errors(400, 403, 404, 408, 415, 429, 502, 503, 504)},
        openapi_extra={"requestBody": body(JSON, {"type": "object", "required": ["model"]})},
    )(answer)


async def _answered(request: Request, caller: Caller, endpoint: str) -> Response:
    """Answer the request. Raises Refusal."""
    limit_interactive(request, caller)
    parts: AppState = request.app.state.parts
    ask = parse_interactive(await _body(request.receive), endpoint, parts.interactive.requests.models)
    return InteractiveResponse(ask, parts, request.state.request_id, still(parts, caller))


class InteractiveShortcut:
    """ASGI application that answers these routes before the framework sees them, with the same steps: the path through
    the framework costs more than everything else that happens to such a request here."""

    def __init__(self, app: FastAPI, parts: AppState) -> None:
        self._app = app
        self._routes = {route.path.encode(): route for route in router.routes if isinstance(route, APIRoute)}
        self._answering = RequestMiddleware(self._answer, parts.monitoring.metrics, parts.body_timeouts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A path that is written in another way is left to the framework's routes."""
        is_ours = scope["type"] == "http" and scope["method"] == "POST" and scope.get("raw_path") in self._routes
        await (self._answering if is_ours else self._app)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"], scope["route"] = self._app, self._routes[scope["raw_path"]]
        request = Request(scope, receive, send)
        try:
            caller = admitted(request, AccessScope.USER)
            response = await _answered(request, caller, scope["path"])
            await response(scope, receive, send)
        except Refusal as refusal:  # raised before anything was sent
            request.state.refusal = refusal.reason.value
            await refusal_answer(refusal)(scope, receive, send)


def _answers() -> dict[int | str, Description]:
    kinds: Description = {JSON: {"schema": {"type": "object"}}, EVENT_STREAM: {"schema": {"type": "string"}}}
    return {200: {"description": "The engine's own answer; server-sent events if `stream` is true.", "content": kinds}}


_route(CHAT_COMPLETIONS, "Answer a chat now, before batch work. `stream` gives it token by token.")
_route(COMPLETIONS, "Complete a prompt now, before batch work.")
_route(RESPONSES, "Answer now, with OpenAI's Responses API.")
_route(EMBEDDINGS, "Embed texts now.")
_route(SCORE, "Score pairs of texts now, as vLLM does.")
_route(RERANK, "Rank documents for a query now, as vLLM does.")


class InteractiveResponse(Response):
    """One answer while it is requested and sent. When the client disconnects, the engine drops the request."""

    def __init__(
        self, ask: InteractiveRequest, parts: AppState, request_id: str, is_allowed: Callable[[], bool]
    ) -> None:
        super().__init__()
        metrics = parts.interactive.metrics
        self._sending = _Sending(ask, parts.interactive.requests, metrics, request_id=request_id, is_allowed=is_allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refusal before anything is sent, ClientDisconnect when the client has disconnected."""
        departure, client = _Departure(), signals_of(scope)
        client.on_left(departure.notice)
        try:
            await self._sending.answer(send)
        except asyncio.CancelledError:
            if departure.is_cause():
                raise ClientDisconnect from None
            raise
        finally:
            client.on_left(None)


class _Departure:
    """Cancels the task that created it when the client disconnects."""

    def __init__(self) -> None:
        self._answering = asyncio.current_task()
        self._is_noticed = False

    def notice(self) -> None:
        if self._answering is not None:
            self._is_noticed = True
            self._answering.cancel()

    def is_cause(self) -> bool:
        """Whether nothing else cancelled the task. If so, the task is no longer cancelled afterwards."""
        return self._is_noticed and self._answering is not None and self._answering.uncancel() == 0


async def _body(receive: Receive) -> bytes:
    """Read the body. Raises Refusal; raises ClientDisconnect for an incomplete body."""
    content, has_more = bytearray(), True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        content += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(content) > BODY_BYTES_MAX:
            words = f"The body of your request is larger than {BODY_BYTES_MAX >> 20} MiB."
            raise Refusal(Reason.BODY_TOO_LARGE, words)
    return bytes(content)


class _Sending:
    """Requests one answer, sends it, and counts the result."""

    def __init__(
        self,
        ask: InteractiveRequest,
        interactive: Interactive,
        metrics: InteractiveMetrics,
        *,
        request_id: str,
        is_allowed: Callable[[], bool],
    ) -> None:
        self._ask = ask
        self._interactive = interactive
        self._metrics = metrics
        self._request_id = request_id
        self._is_allowed = is_allowed
        self._began = perf_counter()
        self._first_byte_seconds: float | None = None
        self._has_started = False

    async def answer(self, send: Send) -> None:
        """Raises Refusal before anything is sent."""
        result = InteractiveResult.LEFT
        self._metrics.inside += 1
        try:
            result = await self._answered(send)
        except Refusal:
            result = InteractiveResult.REFUSED
            raise
        finally:
            self._metrics.inside -= 1
            seconds = perf_counter() - self._began
            self._metrics.answered(self._ask.model, result, seconds, self._first_byte_seconds)

    async def _answered(self, send: Send) -> InteractiveResult:
        try:
            answer = await self._opened(send)
        except Refusal as refusal:
            if not self._has_started:
                raise
            return await self._cut(send, refusal, InteractiveResult.REFUSED)
        try:
            if answer.is_stream:
                return await self._stream(answer, send)
            return await self._whole(answer, send)
        finally:
            answer.close()

    async def _opened(self, send: Send) -> LaneAnswer:
        """Return the answer as it begins. Raises Refusal."""
        try:
            if self._ask.is_streamed:
                return await self._opened_with_comments(send)
            return await self._interactive.open(self._ask, self._request_id)
        except SchedulerUnavailable as error:
            raise unavailable("The scheduler, which has models loaded, does not answer.") from error

    async def _opened_with_comments(self, send: Send) -> LaneAnswer:
        """Return the answer as it begins; comments keep the connection open until then. Raises Refusal,
        SchedulerUnavailable."""
        pending = asyncio.ensure_future(self._interactive.open(self._ask, self._request_id))
        try:
            while not (await asyncio.wait((pending,), timeout=COMMENT_SECONDS))[0]:
                await self._start(send, 200, {"content-type": EVENT_STREAM} | UNBUFFERED)
                await _sent(send, COMMENT)
            return await pending
        except BaseException:
            await _given_up(pending)
            raise

    async def _whole(self, answer: LaneAnswer, send: Send) -> InteractiveResult:
        content = await content_of(answer)
        if self._has_started:  # a stream was requested, and the engine answered with an error instead
            return await self._error_of_engine(send, content)
        self._note_first_byte()
        if (counts := usage_in(content)) is not None:
            self._metrics.used(self._ask.model, counts.input_tokens, counts.output_tokens)
        await self._start(send, answer.status, {**answer.headers, "content-length": str(len(content))})
        await send({"type": "http.response.body", "body": content})
        return InteractiveResult.ANSWERED

    async def _stream(self, answer: LaneAnswer, send: Send) -> InteractiveResult:
        await self._start(send, answer.status, {**answer.headers, **UNBUFFERED})
        splitter = EventSplitter()
        try:
            async for piece in answer.pieces():
                if not self._is_allowed():
                    return await self._cut(send, key_ended(), InteractiveResult.CUT)
                if events := splitter.feed(piece):
                    self._note_first_byte()
                    await _sent(send, events)
                    self._count_tokens(events)
        except (LaneBroken, ValueError) as error:
            get_logger().warning("stream_cut", model=self._ask.model, reason=str(error))
        if not splitter.is_complete:
            return await self._cut(send, engine_lost(ENGINE_LOST_MESSAGE), InteractiveResult.CUT)
        await send({"type": "http.response.body", "body": b""})
        return InteractiveResult.ANSWERED

    async def _error_of_engine(self, send: Send, content: bytes) -> InteractiveResult:
        await _sent(send, b"data: " + b" ".join(content.split(b"\n")) + b"\n\n")
        await send({"type": "http.response.body", "body": b""})
        return InteractiveResult.ANSWERED

    async def _cut(self, send: Send, refusal: Refusal, result: InteractiveResult) -> InteractiveResult:
        await _sent(send, error_event(refusal, self._ask.endpoint))
        await send({"type": "http.response.body", "body": b""})
        return result

    async def _start(self, send: Send, status: int, headers: dict[str, str]) -> None:
        if self._has_started:
            return
        self._has_started = True
        raw = [(name.encode(), value.encode(errors="replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})

    def _note_first_byte(self) -> None:
        if self._first_byte_seconds is None:
            self._first_byte_seconds = perf_counter() - self._began

    def _count_tokens(self, events: bytes) -> None:
        if (counts := usage_in_events(events)) is not None:
            self._metrics.used(self._ask.model, counts.input_tokens, counts.output_tokens)


async def _given_up(pending: asyncio.Future[LaneAnswer]) -> None:
    """Close an answer that arrived just after its client had given up."""
    pending.cancel()
    await asyncio.wait((pending,))
    if not pending.cancelled() and pending.exception() is None:
        pending.result().close()


async def _sent(send: Send, content: bytes) -> None:
    """Send a piece of a stream. Raises ClientDisconnect for a client that does not read."""
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            await send({"type": "http.response.body", "body": content, "more_body": True})
    except TimeoutError as error:
        raise ClientDisconnect from error
