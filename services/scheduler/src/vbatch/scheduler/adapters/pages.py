"""`GET /queue` and `GET /why/{batch_id}` on the health port: what is foretold of the pending batches, as JSON.

For the operator and the services on this machine; owners are not told apart here.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

from vbatch.contracts.ids import BatchId
from vbatch.scheduler.core.explain import explain, queue
from vbatch.scheduler.core.policy import Policy
from vbatch.scheduler.core.state import State
from vbatch.scheduler.ports import Clock

QUEUE_BATCHES_MAX = 1_000
"""So many batches one answer lists, those that end first."""


def queue_pages(state: State, policy: Policy, clock: Clock) -> list[web.RouteDef]:
    async def queue_page(_request: web.Request) -> web.Response:
        everything = queue(state, policy, clock())
        shown = everything[:QUEUE_BATCHES_MAX]
        return _json({"batches": shown, "more": len(everything) - len(shown)})

    async def why_page(request: web.Request) -> web.Response:
        batch_id = BatchId(request.match_info["batch_id"])
        explanation = explain(state, policy, batch_id, clock())
        if explanation is None:
            return _json({"error": f"No batch {batch_id} is pending: it is unknown here, or it has ended."}, status=404)
        return _json(explanation)

    return [web.get("/queue", queue_page), web.get("/why/{batch_id}", why_page)]


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")
