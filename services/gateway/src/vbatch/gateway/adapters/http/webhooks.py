"""The routes of webhooks: OpenAI's routes for endpoints, and ours for deliveries."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import JSON, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import NEEDS_READ, ReadingCaller, TheAppState, UsingCaller
from vbatch.gateway.adapters.http.describe import (
    CREATE_WEBHOOK,
    ROTATE_WEBHOOK_SECRET,
    STRING,
    TEST_WEBHOOK,
    UPDATE_WEBHOOK,
    body,
    errors,
    query,
)
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.pages import BATCHES_DEFAULT, BATCHES_MAX, parse_endpoints_params
from vbatch.gateway.core.views import page_json
from vbatch.gateway.core.webhook_attempts import WebhookAttemptList, attempts_view
from vbatch.gateway.core.webhook_views import (
    WebhookDeliveryList,
    WebhookDeliveryObject,
    WebhookEndpointDeletedObject,
    WebhookEndpointList,
    WebhookEndpointObject,
    WebhookEndpointWithSecretObject,
    WebhookEventTypesObject,
    WebhookTestObject,
    delivery_view,
    endpoint_view,
    secret_view,
)
from vbatch.gateway.core.webhooks import (
    EVENT_TYPES,
    parse_create_params,
    parse_test_params,
    parse_update_params,
    read_keeps_old,
)

router = APIRouter(prefix="/v1", tags=["webhooks"])
ENDPOINTS = "/webhook_endpoints"
ONE = f"{ENDPOINTS}/{{webhook_endpoint_id}}"


@router.post(
    ENDPOINTS,
    response_model=WebhookEndpointWithSecretObject,
    responses=errors(400, 408),
    openapi_extra={"requestBody": body(JSON, CREATE_WEBHOOK)},
)
async def create_webhook(request: Request, caller: UsingCaller, parts: TheAppState) -> Response:
    """Send events of your batches to a URL. The signing secret is shown in this answer and nowhere else."""
    params = parse_create_params(await read_body(request), may_be_private=parts.webhooks_may_be_private)
    return object_answer(secret_view(*await parts.webhooks.create(caller, params)))


@router.get(
    ENDPOINTS,
    response_model=WebhookEndpointList,
    responses=errors(400),
    openapi_extra={
        "parameters": [
            query("after", STRING, "The last id of the page before."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": BATCHES_MAX, "default": BATCHES_DEFAULT},
                "Page size.",
            ),
        ]
    },
)
async def list_webhooks(request: Request, caller: ReadingCaller, parts: TheAppState) -> Response:
    """Your webhook endpoints, newest first."""
    params = parse_endpoints_params(request.query_params)
    found = parts.webhooks.of(caller)
    if params.after is not None:
        places = [place for place, each in enumerate(found) if each.id == params.after]
        found = found[places[0] + 1 :] if places else []
    shown = found[: params.limit]
    objects = [endpoint_view(each).model_dump_json() for each in shown]
    page = page_json([each.id for each in shown], objects, has_more=len(found) > params.limit)
    return Response(page, media_type=JSON)


@router.get(ONE, response_model=WebhookEndpointObject, responses=errors(404))
async def retrieve_webhook(webhook_endpoint_id: Named, caller: ReadingCaller, parts: TheAppState) -> Response:
    """One webhook endpoint."""
    return object_answer(endpoint_view(parts.webhooks.find(caller, webhook_endpoint_id)))


@router.post(
    ONE,
    response_model=WebhookEndpointObject,
    responses=errors(400, 404, 408),
    openapi_extra={"requestBody": body(JSON, UPDATE_WEBHOOK)},
)
async def update_webhook(
    request: Request, webhook_endpoint_id: Named, caller: UsingCaller, parts: TheAppState
) -> Response:
    """Change the fields that are named; `event_types` replaces the whole list."""
    params = parse_update_params(await read_body(request), may_be_private=parts.webhooks_may_be_private)
    return object_answer(endpoint_view(await parts.webhooks.update(caller, webhook_endpoint_id, params)))


@router.delete(ONE, response_model=WebhookEndpointDeletedObject, responses=errors(404))
async def delete_webhook(webhook_endpoint_id: Named, caller: UsingCaller, parts: TheAppState) -> Response:
    """Delete an endpoint; nothing more is sent to it."""
    return object_answer(WebhookEndpointDeletedObject(id=await parts.webhooks.delete(caller, webhook_endpoint_id)))


@router.post(
    f"{ONE}/rotate_secret",
    response_model=WebhookEndpointWithSecretObject,
    responses=errors(400, 404, 408),
    openapi_extra={"requestBody": body(JSON, ROTATE_WEBHOOK_SECRET) | {"required": False}},
)
async def rotate_webhook_secret(
    request: Request, webhook_endpoint_id: Named, caller: UsingCaller, parts: TheAppState
) -> Response:
    """Sign with a new secret and, if you ask for it, with the old one as well for 24 hours."""
    keeps_old = read_keeps_old(await read_body(request))
    return object_answer(secret_view(*await parts.webhooks.rotate(caller, webhook_endpoint_id, keeps_old=keeps_old)))


@router.post(
    f"{ONE}/test",
    response_model=WebhookTestObject,
    responses=errors(400, 404, 408),
    openapi_extra={"requestBody": body(JSON, TEST_WEBHOOK)},
)
async def test_webhook(
    request: Request, webhook_endpoint_id: Named, caller: UsingCaller, parts: TheAppState
) -> Response:
    """Send one event of a type, once and at once, and return how the endpoint answered."""
    event_type = parse_test_params(await read_body(request))
    status_code = await parts.webhooks.test(caller, webhook_endpoint_id, event_type)
    endpoint_id = parts.webhooks.find(caller, webhook_endpoint_id).id
    answer = WebhookTestObject(event_type=event_type, status_code=status_code, webhook_endpoint_id=endpoint_id)
    return object_answer(answer)


@router.post(f"{ONE}/enable", response_model=WebhookEndpointObject, responses=errors(404))
async def enable_webhook(webhook_endpoint_id: Named, caller: UsingCaller, parts: TheAppState) -> Response:
    """Enable an endpoint that the server stopped sending to; waiting deliveries are sent now. Enabling it again is not
    an error."""
    return object_answer(endpoint_view(await parts.webhooks.enable(caller, webhook_endpoint_id)))


@router.post(f"{ONE}/disable", response_model=WebhookEndpointObject, responses=errors(404))
async def disable_webhook(webhook_endpoint_id: Named, caller: UsingCaller, parts: TheAppState) -> Response:
    """Send nothing to an endpoint until it is enabled; its deliveries wait. Disabling it again is not an error."""
    return object_answer(endpoint_view(await parts.webhooks.disable(caller, webhook_endpoint_id)))


@router.get(f"{ONE}/deliveries/{{delivery_id}}/attempts", response_model=WebhookAttemptList, responses=errors(404))
async def list_attempts(
    webhook_endpoint_id: Named, delivery_id: Named, caller: ReadingCaller, parts: TheAppState
) -> Response:
    """The attempts of one delivery, oldest first: when each was made, how the endpoint answered, and how long that
    took."""
    return object_answer(attempts_view(await parts.webhooks.attempts(caller, webhook_endpoint_id, delivery_id)))


@router.get(f"{ONE}/deliveries", response_model=WebhookDeliveryList, responses=errors(404))
async def list_deliveries(webhook_endpoint_id: Named, caller: ReadingCaller, parts: TheAppState) -> Response:
    """The last 200 deliveries, newest first: what was sent, how the endpoint answered, and when the next attempt is."""
    entries = await parts.webhooks.deliveries(caller, webhook_endpoint_id)
    return object_answer(WebhookDeliveryList(data=[delivery_view(entry) for entry in entries]))


@router.post(f"{ONE}/deliveries/{{delivery_id}}/resend", response_model=WebhookDeliveryObject, responses=errors(404))
async def resend_delivery(
    webhook_endpoint_id: Named, delivery_id: Named, caller: UsingCaller, parts: TheAppState
) -> Response:
    """Send a delivery again, with the same id and bytes; its attempts are counted from the start. A delivery that is
    still waiting is left unchanged."""
    return object_answer(delivery_view(await parts.webhooks.resend(caller, webhook_endpoint_id, delivery_id)))


@router.get(
    "/webhook_event_types", response_model=WebhookEventTypesObject, responses=errors(), dependencies=[NEEDS_READ]
)
async def list_webhook_event_types() -> Response:
    """The event types that an endpoint can receive."""
    return object_answer(WebhookEventTypesObject(data=list(EVENT_TYPES)))
