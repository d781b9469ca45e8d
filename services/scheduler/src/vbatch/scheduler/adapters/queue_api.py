"""`GET /queue` and `GET /why/{batch_id}` on the health port: what is foretold of the pending batches, as JSON.

For the operator and the gateway, which shows owners their own; the port is not for clients.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from vbatch.contracts.ids import BatchId
from vbatch.scheduler.flows.forecasting import Forecasting


def queue_api(forecasting: Forecasting) -> list[web.RouteDef]:
    async def queue_page(_request: web.Request) -> web.Response:
        return _json(forecasting.forecast()) if forecasting.is_caught_up() else _not_yet()

    async def why_page(request: web.Request) -> web.Response:
        if not forecasting.is_caught_up():
            return _not_yet()
        batch_id = BatchId(request.match_info["batch_id"])
        explanation = forecasting.why(batch_id)
        if explanation is None:
            return _json({"error": f"No batch {batch_id} is pending: it is unknown here, or it has ended."}, status=404)
        return _json(explanation)

    return [web.get("/queue", queue_page), web.get("/why/{batch_id}", why_page)]


def _not_yet() -> web.Response:
    """Half the log would tell half the queue."""
    return _json({"error": "The scheduler still reads the log."}, status=503)


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")
