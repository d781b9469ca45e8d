"""The commands of runners: what they ask, and what they print."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.canned_gateway import CannedGateway
from vbatch.cli.exits import Exit

DRAIN = {"goal": "unload", "requested_at": 1893499200, "by": "local", "reason": "a game", "done_at": None}
RUNNER: dict[str, object] = {
    "id": "gpu0",
    "state": "ready",
    "device": "a card",
    "memory_bytes": 16_000_000_000,
    "model": "small",
    "drain": DRAIN,
}
PROCESSES = [
    {"pid": 41, "name": "vllm", "memory_bytes": 9_000_000_000, "is_ours": True},
    {"pid": 42, "name": "a game", "memory_bytes": None, "is_ours": False},
]


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("drain", "takes nothing new until you resume it"),
        ("unload", "frees its device until you resume it"),
        ("restart", "finishes what it runs and restarts"),
    ],
)
async def test_a_runner_is_steered_with_a_reason(gateway: CannedGateway, verb: str, said: str):
    done = await gateway.run("runners", verb, "gpu0", "--reason", "a game")
    assert (done.exit_code, json.loads(gateway.bodies[0])) == (Exit.GOOD, {"reason": "a game"})
    assert said in done.stderr
    assert gateway.asked == [f"POST /v1/admin/runners/gpu0/{verb}"]


async def test_a_runner_is_resumed(gateway: CannedGateway):
    assert "takes work again" in (await gateway.run("runners", "resume", "gpu0")).stderr
    assert gateway.asked == ["POST /v1/admin/runners/gpu0/resume"]


async def test_the_list_says_what_is_drained_by_whom_and_why(gateway: CannedGateway):
    gateway.batch = {"data": [RUNNER, {**RUNNER, "id": "gpu1", "drain": None}]}
    printed = (await gateway.run("runners", "list")).stdout
    assert "unload, not done yet, by local (a game)" in " ".join(printed.split())
    assert "16.0 GB" in printed and "gpu1" in printed


async def test_memory_names_the_engines_and_the_strangers(gateway: CannedGateway):
    gateway.batch = {"data": [{"runner_id": "gpu0", "processes": PROCESSES}, {"runner_id": "gpu1", "processes": None}]}
    printed = (await gateway.run("runners", "memory")).stdout
    assert "its engine" in printed and "9.0 GB" in printed and "a game" in printed and "unknown" in printed
    assert "gpu1: its device does not tell." in printed
