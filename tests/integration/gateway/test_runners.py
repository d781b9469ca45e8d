"""Administrators take a runner out of service and put it back, over the API: each an event, each in the audit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.gateway.stage import Stage
from tests.support.events import NOON
from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId

pytestmark = pytest.mark.integration

RUNNER = RunnerId("gpu0")
PATH = f"/v1/admin/runners/{RUNNER}"


async def leased(stage: Stage) -> int:
    return await stage.tell(e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1 << 30, pid=1, at=NOON))


async def shown(stage: Stage) -> Any:
    (runner,) = (await stage.ask("GET", "/v1/runners")).json["data"]
    return runner


async def audited(stage: Stage) -> list[tuple[str, str]]:
    told = (await stage.ask("GET", "/v1/admin/audit", params={"action": "runner", "order": "asc"})).json["data"]
    return [(entry["action"], entry["object_id"]) for entry in told]


@pytest.mark.parametrize(("verb", "goal"), [("drain", "keep"), ("unload", "unload"), ("restart", "restart")])
async def test_a_runner_is_drained_with_a_reason_and_resumed(stage: Stage, verb: str, goal: str):
    await leased(stage)
    drained = await stage.ask("POST", f"{PATH}/{verb}", json={"reason": "a game"})
    drain = drained.json["drain"]
    assert (drained.status, drain["goal"], drain["by"], drain["reason"], drain["done_at"]) == (
        200, goal, "local", "a game", None,
    )  # fmt: skip
    assert (await stage.ask("POST", f"{PATH}/{verb}")).json["drain"] == drain
    assert (await shown(stage))["drain"] == drain
    assert (await stage.ask("POST", f"{PATH}/resume")).json["drain"] is None
    assert (await stage.ask("POST", f"{PATH}/resume")).status == 200
    assert await audited(stage) == [("runner.drain_requested", RUNNER), ("runner.resumed", RUNNER)]


async def test_a_runner_that_has_freed_its_device_says_so(stage: Stage):
    epoch = await leased(stage)
    await stage.ask("POST", f"{PATH}/unload")
    record = await stage.journal.log.last(f"evt.runner.{RUNNER}.drain_requested")
    assert record is not None
    await stage.tell(
        e.RunnerDrained(runner_id=RUNNER, epoch=epoch, goal=e.DrainGoal.UNLOAD, request=record.sequence, at=NOON)
    )
    runner = await shown(stage)
    assert (runner["state"], runner["model"], runner["drain"]["done_at"]) == ("idle", None, int(NOON.timestamp()))


async def test_a_restart_is_over_when_the_next_process_has_started(stage: Stage):
    await leased(stage)
    await stage.ask("POST", f"{PATH}/restart")
    await stage.tell(e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1 << 30, pid=2, at=NOON))
    assert (await shown(stage))["drain"] is None


async def test_a_runner_without_a_process_is_drained_but_not_restarted(stage: Stage):
    epoch = await leased(stage)
    await stage.tell(e.RunnerStopped(runner_id=RUNNER, epoch=epoch, reason="asked to", at=NOON))
    refused = await stage.ask("POST", f"{PATH}/restart")
    assert (refused.status, refused.error["code"]) == (409, "runner_not_running")
    assert (await stage.ask("POST", f"{PATH}/drain")).status == 200


@pytest.mark.parametrize("verb", ["drain", "unload", "restart", "resume"])
async def test_an_unknown_runner_is_not_found(stage: Stage, verb: str):
    refused = await stage.ask("POST", f"/v1/admin/runners/none/{verb}")
    assert (refused.status, refused.error["message"]) == (404, "No runner found with id 'none'.")


@pytest.mark.parametrize("body", [{"reason": 1}, {"reason": "x" * 201}, {"why": "x"}, []])
async def test_a_drain_is_asked_for_well(stage: Stage, body: object):
    await leased(stage)
    assert (await stage.ask("POST", f"{PATH}/drain", json=body)).status == 400


async def test_a_runner_that_does_not_answer_does_not_tell_who_holds_its_memory(stage: Stage):
    await leased(stage)
    told = (await stage.ask("GET", "/v1/admin/runners/memory")).json["data"]
    assert told == [{"object": "runner.memory", "runner_id": RUNNER, "processes": None}]
