"""Webhook endpoints through the client that manages them; older generations only verify. And who one is."""

from __future__ import annotations

import openai

from tests.conformance.cases.server import Server, refused

INSIDE = "https://127.0.0.1:9443/hook"
"""Where this server never posts to."""


def one_is_local_where_no_key_is_asked_for(server: Server) -> None:
    me = server.raw("GET", "/v1/me").json
    assert (me["owner"], me["key_id"], me["scopes"]) == ("local", None, ["admin"])


def an_endpoint_lives_and_goes(server: Server) -> None:
    if not _manages(server):
        return
    hooks = server.client.webhooks
    made = hooks.create(name="pager", url="https://example.com/hook", event_types=["batch.completed"])
    assert made.signing_secret.startswith("whsec_") and made.updated_at == made.created_at
    assert hooks.retrieve(made.id) == next(each for each in hooks.list() if each.id == made.id)
    assert hooks.update(made.id, event_types=["batch.failed"]).event_types == ["batch.failed"]
    rotated = hooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert rotated.signing_secret != made.signing_secret
    gone = hooks.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "webhook_endpoint.deleted", True)
    with refused(openai.NotFoundError, param="webhook_endpoint_id"):
        hooks.retrieve(made.id)


def what_an_endpoint_may_be_told_of_is_listed(server: Server) -> None:
    if not _manages(server):
        return
    offered = server.client.webhooks.event_types.list().data
    assert {"batch.completed", "batch.failed", "batch.expired", "batch.cancelled"} <= set(offered)
    with refused(openai.BadRequestError, param="event_types", code="invalid_value"):
        server.client.webhooks.create(name="n", url="https://example.com/", event_types=["response.completed"])


def nothing_inside_is_told_anything(server: Server) -> None:
    if not _manages(server):
        return
    hooks = server.client.webhooks
    made = hooks.create(name="inside", url=INSIDE, event_types=["batch.failed"])
    with refused(openai.BadRequestError, code="webhook_unanswered"):
        hooks.test(made.id, event_type="batch.failed")
    path = f"/v1/webhook_endpoints/{made.id}"
    [delivery] = server.raw("GET", f"{path}/deliveries").json["data"]
    assert (delivery["status"], delivery["error"]) == ("failed", "address_not_allowed")
    assert server.raw("POST", f"{path}/deliveries/{delivery['id']}/resend").json["id"] == delivery["id"]
    assert server.raw("GET", f"{path}/deliveries/{delivery['id']}/attempts").json["data"]
    assert server.raw("POST", f"{path}/disable").json["is_enabled"] is False
    assert server.raw("POST", f"{path}/enable").json["is_enabled"] is True
    hooks.delete(made.id)


def _manages(server: Server) -> bool:
    return hasattr(getattr(server.client, "webhooks", None), "rotate_secret")
