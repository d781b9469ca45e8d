"""A runner is taken out of service and put back while a batch runs: nothing is lost, and its device is really free."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.e2e.asking import (
    assert_each_line_once_in_order,
    chat_line,
    ended,
    jsonl,
    submit,
    wait_for_progress,
)
from tests.e2e.test_steering import INSIDE_SECONDS_MAX, inside
from tests.support.stack import SLOW_CHAT, RunningStack, kill, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RUNNER = "gpu0"


def runner(stack: RunningStack) -> Any:
    (found,) = json.loads(stack.vbatch("runners", "list", "--json").stdout)["data"]
    return found


def is_done(stack: RunningStack) -> bool:
    drain = runner(stack)["drain"]
    return drain is not None and drain["done_at"] is not None


def engines(stack: RunningStack) -> int:
    """Processes that the runner has started, in whatever generation."""
    return len(stack.process("gpu-runner").children(recursive=True))


def steer(client: OpenAI, verb: str) -> None:
    client.post(f"/admin/runners/{RUNNER}/{verb}", cast_to=object)


def test_a_drained_runner_stands_still_through_its_own_crash_and_frees_its_device(stack: RunningStack, client: OpenAI):
    given = [chat_line(number, SLOW_CHAT) for number in range(2_000)]
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, 200)

    steer(client, "drain")
    wait_until(lambda: is_done(stack), "what was inside has finished", INSIDE_SECONDS_MAX)
    assert (inside(stack), runner(stack)["model"]) == (0, SLOW_CHAT)
    kill(stack.process("gpu-runner"))
    stack.wait_until_ready()
    waits = "It waits for a runner to be resumed"
    wait_until(lambda: waits in stack.vbatch("why", batch.id).stdout, "the batch says why it waits", INSIDE_SECONDS_MAX)
    counts = client.batches.retrieve(batch.id).request_counts
    assert counts is not None and counts.completed < len(given) and inside(stack) == 0

    steer(client, "resume")
    wait_for_progress(client, batch.id, counts.completed + 50)
    steer(client, "unload")
    wait_until(lambda: is_done(stack), "its device is free", INSIDE_SECONDS_MAX)
    assert (engines(stack), runner(stack)["model"]) == (0, None)

    steer(client, "restart")
    wait_until(lambda: runner(stack)["drain"] is None, "its next process works", INSIDE_SECONDS_MAX)
    found = ended(client, batch.id)
    assert found.batch.status == "completed" and found.errors == []
    assert_each_line_once_in_order(given, found)
