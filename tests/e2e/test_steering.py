"""Owners see and steer: a cancel frees the device at once, a pause holds through a crash, a why says what comes."""

from __future__ import annotations

import re
from urllib.request import urlopen

import pytest
from openai import OpenAI
from openai.types import Batch

from tests.e2e.asking import (
    Line,
    assert_each_line_once_in_order,
    chat_line,
    ended,
    jsonl,
    submit,
    wait_for_end,
    wait_for_progress,
)
from tests.support.stack import CHAT, OTHER_CHAT, SLOW_CHAT, RunningStack, kill, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LONG_SECONDS = 600
"""More than any wait of these tests: what passes only after such a request does not pass."""
INSIDE_SECONDS_MAX = 30.0


def long_line(number: int) -> Line:
    line = chat_line(number, CHAT)
    line["body"]["simulate"] = {"latency_seconds": LONG_SECONDS}
    return line


def inside(stack: RunningStack) -> int:
    """Requests inside the engine, as the runner's metrics tell."""
    with urlopen(f"http://127.0.0.1:{stack.settings.gpu_runner_port}/metrics") as answer:
        found = re.search(r"^vbatch_runner_inside (\d+)", answer.read().decode(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def post(client: OpenAI, batch: Batch, verb: str) -> Batch:
    return client.post(f"/batches/{batch.id}/{verb}", cast_to=Batch)


@pytest.mark.parametrize("model", [CHAT, OTHER_CHAT])
def test_a_cancel_frees_the_device_for_the_next_batch(stack: RunningStack, client: OpenAI, model: str):
    long = submit(client, jsonl(long_line(number) for number in range(200)))
    wait_until(lambda: inside(stack) > 0, "the long requests are inside the engine", INSIDE_SECONDS_MAX)
    next_lines = [chat_line(number, model) for number in range(50)]
    following = submit(client, jsonl(next_lines))

    client.batches.cancel(long.id)

    found = ended(client, following.id)
    assert found.batch.status == "completed"
    assert_each_line_once_in_order(next_lines, found)
    assert wait_for_end(client, long.id).status == "cancelled"


def test_a_cancel_is_heard_by_a_runner_full_of_short_slices(stack: RunningStack, client: OpenAI):
    many = [submit(client, jsonl([long_line(number)])) for number in range(40)]
    wait_until(lambda: inside(stack) == len(many), "every long request is inside", INSIDE_SECONDS_MAX)

    client.batches.cancel(many[0].id)
    wait_until(lambda: inside(stack) == len(many) - 1, "its request has left the engine", INSIDE_SECONDS_MAX)

    for batch in many[1:]:
        client.batches.cancel(batch.id)
    wait_until(lambda: inside(stack) == 0, "the engine is empty", INSIDE_SECONDS_MAX)


def test_a_paused_batch_stands_still_through_a_crash_and_completes_when_resumed(stack: RunningStack, client: OpenAI):
    given = [chat_line(number, SLOW_CHAT) for number in range(3_000)]
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, 200)

    assert post(client, batch, "pause").status == "in_progress"
    wait_until(lambda: inside(stack) == 0, "what was inside has finished", INSIDE_SECONDS_MAX)
    kill(stack.process("scheduler"))
    others = [submit(client, jsonl([chat_line(1, SLOW_CHAT)])) for _ in range(2)]
    assert wait_for_end(client, others[0].id).status == "completed"
    before = client.batches.retrieve(batch.id).request_counts
    assert wait_for_end(client, others[1].id).status == "completed"
    more = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(200)))
    assert wait_for_end(client, more.id).status == "completed"
    assert client.batches.retrieve(batch.id).request_counts == before
    assert before is not None and before.completed < len(given)

    post(client, batch, "resume")
    found = ended(client, batch.id)
    assert found.batch.status == "completed" and found.errors == []
    assert_each_line_once_in_order(given, found)


def test_all_work_stands_still_through_a_crash_and_completes_when_it_is_resumed(stack: RunningStack, client: OpenAI):
    given = [chat_line(number, SLOW_CHAT) for number in range(3_000)]
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, 200)

    client.post("/admin/queue/pause", cast_to=object, body={"reason": "a new disk"})
    wait_until(lambda: inside(stack) == 0, "what was inside has finished", INSIDE_SECONDS_MAX)
    kill(stack.process("scheduler"))
    stack.wait_until_ready()
    other = submit(client, jsonl([chat_line(1, OTHER_CHAT)]))
    waits = "It waits for all work to be resumed"
    wait_until(lambda: waits in stack.vbatch("why", other.id).stdout, "the other batch waits, too", INSIDE_SECONDS_MAX)
    assert "a new disk" in stack.vbatch("queue").stdout and inside(stack) == 0
    counts = client.batches.retrieve(batch.id).request_counts
    assert counts is not None and counts.completed < len(given)

    assert stack.vbatch("resume", "--all").returncode == 0
    found = ended(client, batch.id)
    assert found.batch.status == "completed" and found.errors == []
    assert_each_line_once_in_order(given, found)
    assert wait_for_end(client, other.id).status == "completed"


def test_a_waiting_batch_is_explained_and_listed_and_prioritized(stack: RunningStack, client: OpenAI):
    first = submit(client, jsonl(long_line(number) for number in range(200)))
    wait_until(lambda: inside(stack) > 0, "the long requests are inside the engine", INSIDE_SECONDS_MAX)
    second = submit(client, jsonl(chat_line(number, OTHER_CHAT) for number in range(400)))
    wait_until(lambda: has_eta(client, second), "its end is foretold", INSIDE_SECONDS_MAX)

    why, queue, priority = (
        stack.vbatch(*ask) for ask in (("why", second.id), ("queue",), ("priority", second.id, "9"))
    )

    assert f"{second.id} is in_progress" in why.stdout and "It waits for " in why.stdout, why.stderr
    assert first.id in queue.stdout and second.id in queue.stdout, queue.stderr
    assert "is now at priority 9" in priority.stdout, priority.stderr
    client.batches.cancel(first.id)
    assert wait_for_end(client, second.id).status == "completed"


def has_eta(client: OpenAI, batch: Batch) -> bool:
    found = client.batches.retrieve(batch.id)
    return found.eta is not None  # type: ignore[attr-defined]  # ours
