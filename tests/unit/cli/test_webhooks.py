"""The commands of webhooks: what they ask, and what they print."""

from __future__ import annotations

import json

from tests.support.events import DELIVERY, ENDPOINT
from tests.unit.cli.canned_gateway import CannedGateway
from vbatch.cli.exits import Exit

HOOK: dict[str, object] = {
    "id": ENDPOINT,
    "name": "pager",
    "url": "https://example.com/hook",
    "event_types": ["batch.failed"],
    "created_at": 1893499200,
    "is_enabled": False,
    "disabled_reason": "20 attempts in a row failed",
    "signing_secret": "whsec_c2VjcmV0",
}
ENTRY: dict[str, object] = {
    "id": DELIVERY,
    "event_type": "batch.failed",
    "status": "pending",
    "created_at": 1893499200,
    "attempts": 2,
    "next_attempt_at": 1893499300,
    "error": "no_answer",
    "milliseconds": 15000,
}


async def test_the_secret_is_all_that_stands_on_stdout(gateway: CannedGateway):
    gateway.batch = HOOK
    done = await gateway.run("webhooks", "create", "https://example.com/hook", "--event", "batch.failed")
    assert (done.exit_code, done.stdout) == (Exit.GOOD, "whsec_c2VjcmV0\n")
    asked = json.loads(gateway.bodies[0])
    assert asked == {"name": "unnamed", "url": "https://example.com/hook", "event_types": ["batch.failed"]}
    assert gateway.asked == ["POST /v1/webhook_endpoints"]


async def test_a_list_says_which_endpoint_was_given_up_and_why(gateway: CannedGateway):
    gateway.batch = {"data": [HOOK]}
    shown = (await gateway.run("webhooks", "list")).stdout
    assert "disabled: 20 attempts in a row failed" in shown
    assert "whsec_" not in shown


async def test_deliveries_say_how_they_were_answered_and_when_they_are_tried_again(gateway: CannedGateway):
    gateway.batch = {"data": [ENTRY]}
    done = await gateway.run("webhooks", "deliveries", ENDPOINT)
    assert all(word in done.stdout for word in (DELIVERY, "pending", "no_answer", "15000"))
    assert gateway.asked == [f"GET /v1/webhook_endpoints/{ENDPOINT}/deliveries"]


async def test_a_test_that_is_not_taken_ends_in_exit_code_1(gateway: CannedGateway):
    gateway.batch = {"status_code": 418, "event_type": "batch.failed"}
    done = await gateway.run("webhooks", "test", ENDPOINT, "--event", "batch.failed")
    assert (done.exit_code, "answered 418: not taken" in done.stderr) == (Exit.FAILED, True)
    gateway.batch = {"status_code": 204}
    assert (await gateway.run("webhooks", "test", ENDPOINT)).exit_code == Exit.GOOD


async def test_the_rest_asks_the_route_of_its_name(gateway: CannedGateway):
    gateway.batch = {**HOOK, "data": ["batch.failed"]}
    for arguments in (("rotate", ENDPOINT, "--keep-old"), ("enable", ENDPOINT), ("delete", ENDPOINT), ("types",)):
        assert (await gateway.run("webhooks", *arguments)).exit_code == Exit.GOOD
    assert (await gateway.run("webhooks", "resend", ENDPOINT, DELIVERY)).exit_code == Exit.GOOD
    path = f"/v1/webhook_endpoints/{ENDPOINT}"
    assert gateway.asked == [
        f"POST {path}/rotate_secret",
        f"POST {path}/enable",
        f"DELETE {path}",
        "GET /v1/webhook_event_types",
        f"POST {path}/deliveries/{DELIVERY}/resend",
    ]
