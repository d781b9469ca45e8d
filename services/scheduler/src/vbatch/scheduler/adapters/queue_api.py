"""Pages on the health port, as JSON: `GET /queue` and `GET /why/{batch_id}` return the forecast of the pending batches;
`GET /what-if/{batch_id}?priority=N` returns the forecast if that batch had this priority; `GET /check` tells whether a
stored file could become a batch.

They are for the operator and for the gateway, which shows owners their own batches. The port is not for clients.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from vbatch.contracts.dry_run import LINES_MAX
from vbatch.contracts.endpoints import BATCH_ENDPOINTS
from vbatch.contracts.ids import BatchId, ModelId
from vbatch.contracts.lane import DEMAND_PATH
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN
from vbatch.scheduler.core.forecast.estimate import Work
from vbatch.scheduler.flows.checking import Checking
from vbatch.scheduler.flows.demanding import Demanding
from vbatch.scheduler.flows.estimating import Estimating
from vbatch.scheduler.flows.forecasting import Forecasting
from vbatch.scheduler.ports import InputMissing, PlanningTrouble

CHECK_SECONDS_MAX = 60.0
LENGTH_DIGITS_MAX = 18
PRIORITY_DIGITS_MAX = 3
WORK_NUMBERS = ("requests", "input_tokens", "output_tokens", "window_seconds")


Page = Callable[[web.Request], Awaitable[web.Response]]


def queue_api(forecasting: Forecasting) -> list[web.RouteDef]:
    async def queue_page(_request: web.Request) -> web.Response:
        return _json(forecasting.forecast())

    async def why_page(request: web.Request) -> web.Response:
        batch_id = BatchId(request.match_info["batch_id"])
        return _of_batch(batch_id, forecasting.why(batch_id))

    async def what_if_page(request: web.Request) -> web.Response:
        priority = _priority(request.query.get("priority", ""))
        if priority is None:
            return _json({"error": f"priority is a number from {PRIORITY_MIN} to {PRIORITY_MAX}."}, status=400)
        batch_id = BatchId(request.match_info["batch_id"])
        return _of_batch(batch_id, forecasting.if_priority(batch_id, priority))

    pages = {"/queue": queue_page, "/why/{batch_id}": why_page, "/what-if/{batch_id}": what_if_page}
    return [web.get(path, _once_caught_up(page, forecasting.is_caught_up)) for path, page in pages.items()]


def check_pages(checking: Checking, is_caught_up: Callable[[], bool]) -> list[web.RouteDef]:
    """`GET /check?blob=NAME&bytes=N&endpoint=PATH`."""

    async def check_page(request: web.Request) -> web.Response:
        blob, endpoint = request.query.get("blob", ""), request.query.get("endpoint", "")
        size = _number(request, "bytes")
        if not blob or size is None or endpoint not in BATCH_ENDPOINTS:
            return _json({"error": "blob, bytes and one of the endpoints are needed."}, status=400)
        return await _of_file(checking.check(blob, size, endpoint))

    return [web.get("/check", _once_caught_up(check_page, is_caught_up))]


def _once_caught_up(page: Page, is_caught_up: Callable[[], bool]) -> Page:
    """The page, once the log has been read: half the log would give half the queue."""

    async def answer(request: web.Request) -> web.Response:
        return await page(request) if is_caught_up() else _not_yet()

    return answer


def _of_batch(batch_id: BatchId, found: object) -> web.Response:
    if found is None:
        return _json({"error": f"No batch {batch_id} is pending: it is unknown here, or it has ended."}, status=404)
    return _json(found)


async def _of_file(reading: Awaitable[object]) -> web.Response:
    """Respond with the result of reading a stored file, if it comes in time."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return _json(await reading)
    except InputMissing as error:
        return _json({"error": str(error)}, status=404)
    except (PlanningTrouble, TimeoutError) as error:
        return _json({"error": str(error) or "The check takes too long."}, status=503)


def _priority(text: str) -> int | None:
    """Return the priority, or None if the text is not a valid one."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= PRIORITY_DIGITS_MAX):
        return None
    return int(text) if PRIORITY_MIN <= int(text) <= PRIORITY_MAX else None


def dry_run_pages(estimating: Estimating, is_caught_up: Callable[[], bool]) -> list[web.RouteDef]:
    """`GET /sample?blob=NAME&bytes=N&endpoint=PATH&lines=N` and
    `GET /estimate?model=ID&requests=N&input_tokens=N&output_tokens=N&window_seconds=N`."""

    async def sample_page(request: web.Request) -> web.Response:
        blob, endpoint = request.query.get("blob", ""), request.query.get("endpoint", "")
        size, lines = _number(request, "bytes"), _number(request, "lines")
        if not blob or size is None or not lines or lines > LINES_MAX or endpoint not in BATCH_ENDPOINTS:
            return _json({"error": "blob, bytes, lines and one of the endpoints are needed."}, status=400)
        return await _of_file(estimating.sample(blob, size, endpoint, lines))

    async def estimate_page(request: web.Request) -> web.Response:
        numbers = [number for name in WORK_NUMBERS if (number := _number(request, name)) is not None]
        if len(numbers) < len(WORK_NUMBERS):
            return _json({"error": f"model, {', '.join(WORK_NUMBERS)} are needed."}, status=400)
        return _json(estimating.estimate(Work(ModelId(request.query.get("model", "")), *numbers)))

    pages = {"/sample": sample_page, "/estimate": estimate_page}
    return [web.get(path, _once_caught_up(page, is_caught_up)) for path, page in pages.items()]


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LENGTH_DIGITS_MAX else None


def demand_page(demanding: Demanding, is_caught_up: Callable[[], bool], token: str) -> web.RouteDef:
    """`POST /demand?model=ID`, for gateways: they show the token that they share with the runners."""

    async def page(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {token}".encode()):
            return _json({"error": "The token of the interactive lane is needed."}, status=401)
        if not is_caught_up():
            return _not_yet()
        return _json(demanding.ask(ModelId(request.query.get("model", ""))))

    return web.post(DEMAND_PATH, page)


def _not_yet() -> web.Response:
    """The answer before the log is read: half the log would give half the queue."""
    return _json({"error": "The scheduler still reads the log."}, status=503)


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")
