"""Webhooks as the official client manages them and as receivers verify them, on real HTTP and a real log."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import UTC, datetime

import msgspec
import openai
import pytest
from openai import AsyncOpenAI
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.conformance.test_clients import GENERATIONS, client_python
from tests.integration.notifier.stage import Posted, Scene
from tests.integration.results.stage import tell
from tests.support.events import BATCH, BATCH_CREATED, SAMPLES
from tests.support.postgres import free_port
from vbatch.contracts import events as e
from vbatch.contracts.webhooks import WebhookEventType

pytestmark = pytest.mark.integration

COMPLETED = next(event for event in SAMPLES if isinstance(event, e.BatchCompleted))
FAILED = next(event for event in SAMPLES if isinstance(event, e.BatchRejected))
UNWRAP = """
import json, sys
from openai import OpenAI
secret, headers, body = json.load(sys.stdin)
event = OpenAI(api_key="none", base_url="http://127.0.0.1:9/v1").webhooks.unwrap(body, headers, secret=secret)
print(event.id, event.type, event.data.id)
"""
NOWHERE = f"http://127.0.0.1:{free_port()}/hook"
"""Nobody listens there."""


async def batch_ends(scene: Scene, end: e.AnyEvent = COMPLETED) -> None:
    """As gateway and results would tell it, now."""
    now = datetime.now(UTC)
    events = [msgspec.structs.replace(event, at=now) for event in (BATCH_CREATED, end)]
    await tell(scene.journal, events)


def verify(client: AsyncOpenAI, posted: Posted, secret: str) -> None:
    """With both verifiers."""
    event = client.webhooks.unwrap(posted.body, posted.headers, secret=secret)
    assert event.id == posted.id
    assert Webhook(secret).verify(posted.body, dict(posted.headers)) == json.loads(posted.body)


async def test_an_endpoint_is_managed_with_the_official_client(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="pager", url=scene.receiver.url, event_types=["batch.completed", "batch.failed"])
    assert made.signing_secret.startswith("whsec_")
    assert made.signing_secret_hint is not None and made.signing_secret_hint.endswith(made.signing_secret[-4:])
    assert await hooks.retrieve(made.id) == (await hooks.list()).data[0]

    same = await hooks.update(made.id, name="pager")
    assert (same.updated_at, same.name) == (made.updated_at, "pager")
    changed = await hooks.update(made.id, event_types=["batch.expired"], url=f"{scene.receiver.url}2")
    assert (changed.event_types, changed.url, changed.name) == (["batch.expired"], f"{scene.receiver.url}2", "pager")

    rotated = await hooks.rotate_secret(made.id)
    assert rotated.signing_secret != made.signing_secret

    gone = await hooks.delete(made.id)
    assert (gone.id, gone.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError):
        await hooks.retrieve(made.id)
    left = [path.name for path in (scene.stage.place.home / "secrets" / "webhooks").iterdir()]
    assert left == ["key"]


async def test_endpoints_are_listed_newest_first_in_pages(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = [(await hooks.create(name=f"n{n}", url=NOWHERE, event_types=["batch.failed"])).id for n in range(5)]
    first = await hooks.list(limit=2)
    assert ([each.id for each in first.data], first.has_more) == (made[:2:-1], True)
    assert [each.id async for each in hooks.list(limit=2)] == made[::-1]


async def test_the_types_are_those_that_happen_here(scene: Scene):
    hooks = scene.stage.client.webhooks
    assert (await hooks.event_types.list()).data == list(WebhookEventType)
    with pytest.raises(openai.BadRequestError, match="Events of this server are"):
        await hooks.create(name="n", url=NOWHERE, event_types=["response.completed"])


async def test_the_end_of_a_batch_is_told_once_and_verifies(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])
    await batch_ends(scene)
    await scene.receiver.has(1)
    [posted] = scene.receiver.posted
    verify(scene.stage.client, posted, made.signing_secret)
    assert json.loads(posted.body)["data"] == {"id": BATCH}
    await scene.until_names("queued", "delivered")


async def test_during_a_rotation_both_secrets_verify(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.failed"])
    rotated = await hooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    await batch_ends(scene, FAILED)
    await scene.receiver.has(1)
    for secret in (made.signing_secret, rotated.signing_secret):
        verify(scene.stage.client, scene.receiver.posted[0], secret)


async def test_what_was_tampered_with_on_the_way_is_refused_by_both_verifiers(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])
    await batch_ends(scene)
    await scene.receiver.has(1)
    posted, later = scene.receiver.posted[0], str(int(scene.receiver.posted[0].headers["webhook-timestamp"]) + 1)
    for tampered in (
        Posted(posted.headers, posted.body.replace(b"completed", b"cancelled")),
        Posted({**posted.headers, "webhook-id": "evt_other"}, posted.body),
        Posted({**posted.headers, "webhook-timestamp": later}, posted.body),
    ):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            scene.stage.client.webhooks.unwrap(tampered.body, tampered.headers, secret=made.signing_secret)
        with pytest.raises(WebhookVerificationError):
            Webhook(made.signing_secret).verify(tampered.body, dict(tampered.headers))


async def test_the_newest_generation_of_the_official_client_unwraps_what_a_receiver_got(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])
    await batch_ends(scene)
    await scene.receiver.has(1)
    posted = scene.receiver.posted[0]
    told = json.dumps([made.signing_secret, dict(posted.headers), posted.body.decode()])
    python = await asyncio.to_thread(client_python, GENERATIONS[-1])
    unwrapped = await asyncio.to_thread(
        subprocess.run, [str(python), "-c", UNWRAP], input=told, capture_output=True, text=True, check=False
    )
    assert unwrapped.stdout.split() == [posted.id, "batch.completed", BATCH], unwrapped.stderr


async def test_a_failed_try_is_made_again_with_the_same_id_and_bytes(scene: Scene):
    scene.receiver.statuses = [503, 302, 200]
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])
    await batch_ends(scene)
    await scene.receiver.has(2)
    first, second = scene.receiver.posted
    assert (first.id, first.body) == (second.id, second.body)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    verify(scene.stage.client, second, made.signing_secret)
    await scene.until_names("queued", "failed", "failed")

    path = f"/v1/webhook_endpoints/{made.id}/deliveries"
    [delivery] = (await scene.stage.ask("GET", path)).json["data"]
    assert (delivery["status"], delivery["attempts"], delivery["status_code"]) == ("pending", 2, 302)
    assert (delivery["body"].encode(), delivery["answer"]) == (first.body, "answer 2")


async def test_a_delivery_can_be_had_again(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])
    await batch_ends(scene)
    await scene.until_names("queued", "delivered")
    first = scene.receiver.posted[0]
    path = f"/v1/webhook_endpoints/{made.id}/deliveries/{first.id}/resend"
    assert (await scene.stage.ask("POST", path)).json["id"] == first.id
    await scene.receiver.has(2)
    assert (scene.receiver.posted[1].id, scene.receiver.posted[1].body) == (first.id, first.body)
    assert (await scene.stage.ask("POST", path.replace("evt_", "evt_0"))).status == 404


async def test_a_test_tells_how_the_endpoint_answers(scene: Scene):
    scene.receiver.statuses = [418]
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.failed"])
    result = await hooks.test(made.id, event_type="batch.completed")
    assert (result.status_code, result.event_type, result.webhook_endpoint_id) == (418, "batch.completed", made.id)
    verify(scene.stage.client, scene.receiver.posted[0], made.signing_secret)
    assert (await hooks.retrieve(made.id)).updated_at == made.updated_at

    await hooks.update(made.id, url=NOWHERE)
    with pytest.raises(openai.BadRequestError, match="no_answer"):
        await hooks.test(made.id, event_type="batch.completed")


async def test_an_endpoint_that_is_gone_is_given_up_until_its_owner_wants_it_again(scene: Scene):
    scene.receiver.statuses = [410, 200]
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])
    await batch_ends(scene)
    await scene.until_names("queued", "failed", "disabled")
    path = f"/v1/webhook_endpoints/{made.id}"
    await scene.until_disabled(path)
    assert (await scene.stage.ask("POST", f"{path}/enable")).json["is_enabled"] is True
    assert (await hooks.test(made.id, event_type="batch.completed")).status_code == 200


async def test_one_that_lost_its_secret_says_so(scene: Scene):
    hooks = scene.stage.client.webhooks
    made = await hooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])
    (scene.stage.place.home / "secrets" / "webhooks" / "key").unlink()
    with pytest.raises(openai.BadRequestError, match="secret_lost"):
        await hooks.test(made.id, event_type="batch.completed")
    rotated = await hooks.rotate_secret(made.id)
    assert (await hooks.test(made.id, event_type="batch.completed")).status_code == 200
    verify(scene.stage.client, scene.receiver.posted[-1], rotated.signing_secret)
