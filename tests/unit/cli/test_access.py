"""The commands of keys, quotas and limits: what they ask, and what they print."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.events import NOON
from tests.unit.cli.canned_gateway import CannedGateway
from vbatch.cli.exits import Exit, Misused
from vbatch.cli.time_spec import later

KEY: dict[str, object] = {
    "id": "key_0aB1cD2e",
    "owner": "ann",
    "name": "laptop",
    "scopes": ["user"],
    "hint": "w9Xz",
    "created_at": 1893499200,
    "key": "sk-vb-0aB1cD2e_secret",
}
OWNER: dict[str, object] = {
    "id": "ann",
    "quota": {"unfinished_batches_max": 10, "priority_max": 0},
    "usage": {"unfinished_batches": 3, "unanswered_requests": 1200, "stored_bytes": 5, "tokens_today": 7},
}
LIMITS: dict[str, object] = {
    "creates_per_minute_max": 60,
    "uploads_per_minute_max": 0,
    "reads_per_minute_max": 0,
    "bytes_per_minute_max": 0,
    "pinned": ["creates_per_minute_max"],
}


async def test_a_new_key_is_all_that_stands_on_stdout(gateway: CannedGateway):
    gateway.batch = KEY
    done = await gateway.run("keys", "create", "ann", "--name", "laptop", "--scope", "read", "--expires", "90d")
    assert (done.exit_code, done.stdout) == (Exit.GOOD, f"{KEY['key']}\n")
    assert "shown this once" in done.stderr
    assert gateway.asked == ["POST /v1/admin/keys"]
    body = json.loads(gateway.bodies[0])
    assert (body["owner"], body["name"], body["scopes"]) == ("ann", "laptop", ["read"])
    assert body["expires_at"] > datetime.now(UTC).timestamp() + 89 * 86_400


async def test_a_rotated_and_a_revoked_key_are_told(gateway: CannedGateway):
    gateway.batch = KEY
    rotated = await gateway.run("keys", "rotate", "key_0aB1cD2e", "--keep-hours", "2")
    assert json.loads(gateway.bodies[0]) == {"keep_old_for_hours": 2}
    assert "key_0aB1cD2e works for 2 h more." in rotated.stderr
    revoked = await gateway.run("keys", "revoke", "key_0aB1cD2e")
    assert (revoked.exit_code, gateway.asked[-1]) == (Exit.GOOD, "DELETE /v1/admin/keys/key_0aB1cD2e")
    assert "secret" not in revoked.output


async def test_a_list_of_keys_shows_how_each_one_stands(gateway: CannedGateway):
    gone = {**KEY, "id": "key_gone0000", "revoked_at": 1893499300}
    over = {**KEY, "id": "key_over0000", "expires_at": 1000}
    gateway.batch = {"data": [KEY, gone, over]}
    lines = (await gateway.run("keys", "list")).stdout.splitlines()
    assert [word in line for word, line in zip(("valid", "revoked", "expired"), lines[1:], strict=True)] == [True] * 3


async def test_a_list_of_keys_names_those_that_somebody_should_rotate(gateway: CannedGateway):
    day, now = 86_400, int(datetime.now(UTC).timestamp())
    soon = {**KEY, "created_at": now - 80 * day, "expires_at": now + 10 * day}
    others = [
        {**soon, "id": "key_later000", "expires_at": now + 20 * day},
        {**soon, "id": "key_rotated0", "replaced_by": "key_next0000"},
        {**soon, "id": "key_revoked0", "revoked_at": now},
        {**soon, "id": "key_expired0", "expires_at": now - day},
        {**soon, "id": "key_tempora0", "created_at": now},
    ]
    gateway.batch = {"data": [soon, *others]}
    listed = await gateway.run("keys", "list")
    assert listed.stderr == "key_0aB1cD2e of ann expires soon: vbatch keys rotate key_0aB1cD2e\n"


async def test_a_quota_changes_only_where_it_is_named(gateway: CannedGateway):
    gateway.batch = OWNER
    done = await gateway.run("quota", "ann", "--batches", "20", "--priority", "none")
    assert gateway.asked == ["GET /v1/admin/owners/ann", "POST /v1/admin/owners/ann"]
    assert json.loads(gateway.bodies[1]) == {"unfinished_batches_max": 20, "priority_max": None}
    assert "1,200" in done.stdout


async def test_a_quota_that_is_no_number_is_a_usage_error(gateway: CannedGateway):
    gateway.batch = OWNER
    done = await gateway.run("quota", "ann", "--batches", "many")
    assert (done.exit_code, gateway.asked) == (Exit.USAGE, [])


async def test_limits_name_those_that_the_settings_hold(gateway: CannedGateway):
    gateway.batch = LIMITS
    done = await gateway.run("limits", "--reads", "100", "--uploads", "none")
    assert json.loads(gateway.bodies[0]) == {"reads_per_minute_max": 100, "uploads_per_minute_max": 0}
    assert "set by VBATCH_GATEWAY_CREATES_PER_MINUTE_MAX" in done.stdout


async def test_me_says_who_one_is(gateway: CannedGateway):
    gateway.batch = {**OWNER, "owner": "ann", "key_id": "key_0aB1cD2e", "scopes": ["user"], "server_version": "0.1.0"}
    done = await gateway.run("me")
    assert done.stdout.startswith("ann, scope user (key key_0aB1cD2e); server 0.1.0")


async def test_the_first_key_needs_the_log_and_says_how_to_start_it(gateway: CannedGateway):
    gateway.batch = KEY
    done = await gateway.run_here("keys", "init")
    assert (done.exit_code, "vbatch up" in done.stderr) == (Exit.UNREACHABLE, True)


def test_a_time_to_come_is_a_span_or_a_moment():
    assert later("90d", NOON) == NOON + timedelta(days=90)
    assert later("2031-01-01T00:00+00:00", NOON) == datetime(2031, 1, 1, tzinfo=UTC)
    with pytest.raises(Misused):
        later("soon", NOON)
