"""The page of what was sent to an endpoint, for the gateway, which shows it to the endpoint's owner only."""

from __future__ import annotations

import msgspec
from aiohttp import web

from vbatch.contracts.ids import EndpointId
from vbatch.contracts.webhooks import DELIVERIES_KEPT, DeliveryPage
from vbatch.notifier.core.state import State, entry
from vbatch.notifier.flows.serving import Progress


def delivery_pages(progress: Progress) -> list[web.RouteDef]:
    async def deliveries(request: web.Request) -> web.Response:
        page = page_of(progress.state, EndpointId(request.match_info["endpoint_id"]))
        if page is None:
            return web.json_response({}, status=404 if progress.position.is_caught_up else 503)
        return web.Response(body=msgspec.json.encode(page), content_type="application/json")

    return [web.get("/deliveries/{endpoint_id}", deliveries)]


def page_of(state: State, endpoint_id: EndpointId) -> DeliveryPage | None:
    """The deliveries of an endpoint; None if the endpoint does not exist."""
    deliveries = state.deliveries.get(endpoint_id)
    if deliveries is None:
        return None
    newest = list(deliveries.values())[::-1][:DELIVERIES_KEPT]
    return DeliveryPage(endpoint_id=endpoint_id, deliveries=tuple(entry(each) for each in newest))
