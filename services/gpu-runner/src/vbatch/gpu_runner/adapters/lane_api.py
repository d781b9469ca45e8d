"""`GET /lane` and `POST /lane/v1/…` on the runner's port: the gateway's way to the engine for interactive requests.

Both need the token that the gateway and its runners share. An answer that the engine streams is passed on piece by
piece; any other is complete before its first byte leaves. If the engine is lost in the middle of a stream, the
connection is cut: a stream that ends normally is complete.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec
import structlog
from aiohttp import web

from vbatch.contracts.endpoints import BATCH_ENDPOINTS
from vbatch.contracts.ids import ModelId
from vbatch.contracts.lane import (
    BODY_BYTES_MAX,
    LANE_PATH,
    MODEL_HEADER,
    REQUEST_HEADER,
    RESULT_HEADER,
    TOKENIZE,
    DeviceProcess,
    LaneResult,
)
from vbatch.gpu_runner.core.answers import STATUS_MAX, STATUS_MIN, NotJson, error_envelope, usage_of
from vbatch.gpu_runner.flows.lane import Lane, LaneFull, NotServed
from vbatch.gpu_runner.ports import AnswerTooLarge, ConnectionLost, NotConnected, OpenAnswer, RequestTimedOut

ANSWER_BYTES_MAX = 64 << 20
"""The largest answer that is not streamed."""
EVENT_STREAM = "text/event-stream"
JSON = "application/json"
PASSED_ON = ("content-type", "retry-after")
UNAVAILABLE, BAD_GATEWAY = 503, 502
RESULTS: Mapping[type[Exception], LaneResult] = {
    NotServed: LaneResult.NOT_LOADED,
    NotConnected: LaneResult.NOT_LOADED,
    LaneFull: LaneResult.FULL,
    ConnectionLost: LaneResult.ENGINE_LOST,
    RequestTimedOut: LaneResult.TIMED_OUT,
    AnswerTooLarge: LaneResult.TOO_LARGE,
}
REFUSALS = tuple(RESULTS)

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


@dataclass(frozen=True, slots=True)
class DeviceReadings:
    """What the device reports; each is None if it does not: the power that it draws, the processes that hold its
    memory."""

    watts: Callable[[], Awaitable[float | None]]
    processes: Callable[[], Awaitable[tuple[DeviceProcess, ...] | None]]


def lane_pages(find_lane: Callable[[], Lane | None], token: str, device: DeviceReadings) -> list[web.RouteDef]:
    """The routes of the lane. `find_lane` returns None before the runner has its lease."""

    def admitted(request: web.Request) -> Lane:
        """Return the lane for a request. Raises HTTPUnauthorized for a wrong token, HTTPServiceUnavailable while there
        is no lane."""
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {token}".encode()):
            raise web.HTTPUnauthorized
        if (found := find_lane()) is None:
            raise web.HTTPServiceUnavailable
        return found

    async def state(request: web.Request) -> web.Response:
        lane = admitted(request)
        lane.watts, lane.processes = await device.watts(), await device.processes()
        return web.Response(body=msgspec.json.encode(lane.state()), content_type=JSON)

    async def ask(request: web.Request) -> web.StreamResponse:
        return await _asked(admitted(request), request)

    paths = [f"{LANE_PATH}{endpoint}" for endpoint in (*BATCH_ENDPOINTS, TOKENIZE)]
    return [web.get(LANE_PATH, state), *(web.post(path, ask) for path in paths)]


async def _asked(lane: Lane, request: web.Request) -> web.StreamResponse:
    body = await _body(request)
    model = ModelId(request.headers.get(MODEL_HEADER, ""))
    request_id = request.headers.get(REQUEST_HEADER, "")
    endpoint = request.path.removeprefix(LANE_PATH)
    try:
        async with lane.open(model, endpoint, body, request_id) as answer:
            if _is_stream(answer):
                return await _streamed(lane, request, answer)
            return await _whole(lane, answer)
    except REFUSALS as error:
        log.info("lane_refused", model=model, request_id=request_id, reason=RESULTS[type(error)], detail=str(error))
        return _refused(error)


async def _body(request: web.Request) -> bytes:
    """Read the body. Raises HTTPRequestEntityTooLarge."""
    if request.content.is_eof():  # most bodies arrive with their head
        whole = request.content.read_nowait()
        _must_fit(len(whole))
        return whole
    body = bytearray()
    async for piece in request.content.iter_any():
        body += piece
        _must_fit(len(body))
    return bytes(body)


def _must_fit(size: int) -> None:
    """Raises HTTPRequestEntityTooLarge."""
    if size > BODY_BYTES_MAX:
        raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, size)


def _is_stream(answer: OpenAnswer) -> bool:
    return answer.status_code == 200 and answer.headers.get("content-type", "").startswith(EVENT_STREAM)


async def _whole(lane: Lane, answer: OpenAnswer) -> web.Response:
    """Read the whole answer. Raises AnswerTooLarge, ConnectionLost, RequestTimedOut."""
    pieces, size = list[bytes](), 0
    async for piece in answer.pieces:
        size += len(piece)
        if size > ANSWER_BYTES_MAX:
            raise AnswerTooLarge(f"The engine's answer was larger than {ANSWER_BYTES_MAX >> 20} MiB.")
        pieces.append(piece)
    lane.traffic.answered_count += 1
    return _in_envelope(answer, b"".join(pieces))


def _in_envelope(answer: OpenAnswer, body: bytes) -> web.Response:
    """The answer as it came; an error that is not JSON is put into OpenAI's envelope, as in batches."""
    status = answer.status_code if STATUS_MIN <= answer.status_code <= STATUS_MAX else BAD_GATEWAY
    headers = _headers(answer)
    try:
        usage_of(body)
    except NotJson:
        status, headers["content-type"] = (BAD_GATEWAY if status < 400 else status), JSON
        body = error_envelope(body, status)
    return web.Response(status=status, body=body, headers=headers)


async def _streamed(lane: Lane, request: web.Request, answer: OpenAnswer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status_code, headers=_headers(answer))
    await response.prepare(request)
    try:
        async for piece in answer.pieces:
            lane.traffic.answered_count += 1
            await response.write(piece)
    except (ConnectionLost, RequestTimedOut) as error:
        log.warning("lane_cut", path=request.path, reason=str(error))
        if request.transport is not None:
            request.transport.abort()  # without the end of the stream, so that no client takes it for complete
        return response
    await response.write_eof()
    return response


def _headers(answer: OpenAnswer) -> dict[str, str]:
    passed = {name: value for name in PASSED_ON if (value := answer.headers.get(name)) is not None}
    return {RESULT_HEADER: LaneResult.ANSWERED, **passed}


def _refused(error: Exception) -> web.Response:
    return web.Response(status=UNAVAILABLE, text=str(error), headers={RESULT_HEADER: RESULTS[type(error)]})
