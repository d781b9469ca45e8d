"""The commands of administration: what they ask, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.canned_gateway import CannedGateway
from vbatch.cli.exits import Exit

SETTING = {
    "name": "connections_max",
    "variable": "VBATCH_GATEWAY_CONNECTIONS_MAX",
    "value": "7",
    "default": "1000",
    "source": "file",
    "effect": "restart",
}
DEFAULT = {**SETTING, "variable": "VBATCH_LOG_LEVEL", "value": "info", "default": "info", "source": "default"}
SETTINGS: dict[str, object] = {
    "data": [
        {"service": "gateway", "settings": [SETTING, DEFAULT], "trouble": None},
        {"service": "results", "settings": [], "trouble": "no answer"},
    ]
}
CHANGES: dict[str, object] = {
    "data": [
        {
            "id": 9,
            "at": 1893499200,
            "by": "key_0aB1cD2e",
            "action": "owner.quota_changed",
            "target": "ann",
            "fields": [{"name": "stored_bytes_max", "before": None, "after": 5000}],
        }
    ]
}


async def test_all_work_is_paused_and_resumed(gateway: CannedGateway):
    paused = await gateway.run("pause", "--all", "--reason", "the device is needed")
    assert (paused.exit_code, json.loads(gateway.bodies[0])) == (Exit.GOOD, {"reason": "the device is needed"})
    assert "All work is paused" in paused.stdout
    assert "All work is resumed." in (await gateway.run("resume", "--all")).stdout
    assert gateway.asked == ["POST /v1/admin/queue/pause", "POST /v1/admin/queue/resume"]


@pytest.mark.parametrize(
    "arguments", [("pause",), ("resume",), ("pause", "b1", "--all"), ("pause", "b1", "--reason", "x")]
)
async def test_a_command_that_names_neither_or_both_asks_nothing(gateway: CannedGateway, arguments: tuple[str, ...]):
    done = await gateway.run(*arguments)
    assert done.exit_code == Exit.USAGE and not gateway.asked


async def test_settings_show_where_each_value_comes_from(gateway: CannedGateway):
    gateway.batch = SETTINGS
    shown = await gateway.run("settings")
    assert "VBATCH_GATEWAY_CONNECTIONS_MAX" in shown.stdout and "at a restart" in shown.stdout
    assert "results tells no settings: no answer" in shown.stderr
    only = await gateway.run("settings", "--set", "--service", "gateway")
    assert "VBATCH_LOG_LEVEL" not in only.stdout and "results" not in only.stderr
    assert (await gateway.run("settings", "--service", "nobody")).exit_code == Exit.USAGE


async def test_changes_show_who_and_what_it_was_before(gateway: CannedGateway):
    gateway.batch = CHANGES
    shown = await gateway.run("settings", "--changes")
    assert gateway.asked == ["GET /v1/admin/changes"]
    assert [word for word in ("key_0aB1cD2e", "ann", "none", "5,000") if word not in shown.stdout] == []


async def test_a_bundle_is_written_and_one_is_asked_to_read_it(gateway: CannedGateway, tmp_path: Path):
    path = tmp_path / "bundle.zip"
    done = await gateway.run("support-bundle", "--output", str(path))
    assert done.exit_code == Exit.GOOD and path.exists() and "Read it before" in done.stderr
    nowhere = await gateway.run("support-bundle", "--output", str(tmp_path / "missing" / "x.zip"))
    assert nowhere.exit_code == Exit.USAGE and "cannot be written" in nowhere.stderr


async def test_a_webhook_is_disabled(gateway: CannedGateway):
    done = await gateway.run("webhooks", "disable", "we_1")
    assert (done.exit_code, gateway.asked) == (Exit.GOOD, ["POST /v1/webhook_endpoints/we_1/disable"])
