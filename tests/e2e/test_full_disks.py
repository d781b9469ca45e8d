"""Full disks under a running stack: new work is refused, running work waits and goes on, nothing is lost."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.e2e.asking import assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.support.small_disks import MIB, StackOnSmallDisks, needs_small_disks, stack_on_small_disks
from tests.support.stack import SLOW_CHAT, RunningStack, wait_until

__all__ = ["needs_small_disks"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.usefixtures("needs_small_disks")]

REQUESTS = 3_000
SEEN_SECONDS_MAX = 60.0
HEALED_SECONDS_MAX = 90.0


@pytest.fixture(scope="module")
def small(request: pytest.FixtureRequest) -> Iterator[StackOnSmallDisks]:
    request.getfixturevalue("needs_small_disks")
    with stack_on_small_disks() as running:
        yield running


@pytest.fixture
def whole(small: StackOnSmallDisks) -> Iterator[StackOnSmallDisks]:
    small.stack.wait_until_ready()
    yield small
    for disk in small.disks.values():
        disk.free()


@pytest.fixture
def client(small: StackOnSmallDisks) -> Iterator[OpenAI]:
    with small.stack.client() as made:
        yield made


def failed_checks(stack: RunningStack, port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            page = json.load(answer)
    except urllib.error.HTTPError as error:
        page = json.load(error)
    except OSError:
        return {}
    return {name: check["detail"] for name, check in page["checks"].items() if not check["ok"]}


def running_batch(client: OpenAI) -> tuple[list[dict[str, Any]], str]:
    given = [chat_line(number, SLOW_CHAT) for number in range(REQUESTS)]
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, 100)
    return given, batch.id


def refusal(client: OpenAI, content: bytes) -> openai.APIStatusError:
    """Of an upload, as soon as the gateway has measured again."""
    found: list[openai.APIStatusError] = []

    def is_refused() -> bool:
        try:
            client.files.create(file=("in.jsonl", content), purpose="batch")
        except openai.APIStatusError as error:
            found.append(error)
        return bool(found)

    wait_until(is_refused, "an upload is refused", SEEN_SECONDS_MAX)
    return found[0]


def assert_completes(client: OpenAI, stack: RunningStack, given: list[dict[str, Any]], batch_id: str) -> None:
    found = ended(client, batch_id, HEALED_SECONDS_MAX)
    assert found.batch.status == "completed", stack.logs()
    assert found.errors == []
    assert_each_line_once_in_order(given, found)


@pytest.mark.parametrize("part", ["blobs", "nats"])
def test_new_work_is_refused_at_the_watermark_and_running_work_goes_on(
    whole: StackOnSmallDisks, client: OpenAI, part: str
):
    given, batch_id = running_batch(client)
    whole.fill(part, leave_bytes=12 * MIB)
    refused = refusal(client, jsonl(given[:1]))
    assert refused.status_code == 507
    assert refused.code == "insufficient_storage"
    assert f"{whole.stack.home / part}" in refused.message and "needs 16.0 MiB" in refused.message
    assert_completes(client, whole.stack, given, batch_id)


def test_a_log_whose_disk_is_full_holds_its_writers_until_there_is_room(whole: StackOnSmallDisks, client: OpenAI):
    given, batch_id = running_batch(client)
    whole.fill("nats", leave_bytes=4 * MIB)
    port = whole.stack.settings.gpu_runner_port
    wait_until(lambda: "log_room" in failed_checks(whole.stack, port), "the runner says so", SEEN_SECONDS_MAX)
    restarts = whole.stack.restarts()
    stood_at = client.batches.retrieve(batch_id).request_counts
    whole.free("nats")
    assert_completes(client, whole.stack, given, batch_id)
    assert stood_at is not None and stood_at.completed < REQUESTS, "it stood while there was no room"
    assert whole.stack.restarts() == restarts, "nobody had to be started again"


def test_full_file_store_holds_the_seal_until_there_is_room(whole: StackOnSmallDisks, client: OpenAI):
    given, batch_id = running_batch(client)
    whole.fill("blobs")
    port = whole.stack.settings.results_port
    wait_until(lambda: "seals" in failed_checks(whole.stack, port), "results says so", HEALED_SECONDS_MAX)
    assert str(whole.stack.home / "blobs") in failed_checks(whole.stack, port)["seals"]
    whole.free("blobs")
    assert_completes(client, whole.stack, given, batch_id)


@pytest.mark.parametrize("part", ["results", "postgres"])
def test_a_full_read_model_holds_the_projection_until_there_is_room(
    whole: StackOnSmallDisks, client: OpenAI, part: str
):
    given, batch_id = running_batch(client)
    whole.fill(part)
    port = whole.stack.settings.results_port
    wait_until(lambda: "projection" in failed_checks(whole.stack, port), "results says so", HEALED_SECONDS_MAX)
    whole.free(part)
    wait_until(lambda: whole.stack.stack.status().is_ready, "the stack is ready again", HEALED_SECONDS_MAX)
    assert_completes(client, whole.stack, given, batch_id)
