"""The log reaches its own limit under a running stack. Real full disks: test_full_disks.py, which needs to mount."""

from __future__ import annotations

import urllib.request

import openai
import pytest
from openai import OpenAI

from tests.e2e.asking import assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.support.stack import SLOW_CHAT, RunningStack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

REQUESTS = 3_000
SEEN_SECONDS_MAX = 60.0


def page(port: int, path: str) -> str:
    opener = urllib.request.build_opener(_Whatever())
    with opener.open(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


class _Whatever(urllib.request.HTTPErrorProcessor):
    """A service that is not ready says why in the body of a 503."""

    def http_response(self, request, response):
        return response


def test_a_full_log_holds_its_writers_and_refuses_new_work_until_it_is_made_larger(stack: RunningStack, client: OpenAI):
    given = [chat_line(number, SLOW_CHAT) for number in range(REQUESTS)]
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, 100)
    restarts, runner = stack.restarts(), stack.settings.gpu_runner_port
    stack.limit_log(bytes_max=1)
    wait_until(lambda: "the event log is full" in page(runner, "/ready"), "the runner says so", SEEN_SECONDS_MAX)
    assert "vbatch_log_room_waiting 1.0" in page(runner, "/metrics")
    with pytest.raises(openai.APIStatusError) as refused:
        client.files.create(file=("in.jsonl", jsonl(given[:1])), purpose="batch")
    stood_at = client.batches.retrieve(batch.id).request_counts
    stack.limit_log(None)
    found = ended(client, batch.id)

    assert refused.value.status_code == 507
    assert refused.value.code == "insufficient_storage" and "The event log" in refused.value.message
    assert stood_at is not None and stood_at.completed < REQUESTS
    assert found.batch.status == "completed" and found.errors == []
    assert_each_line_once_in_order(given, found)
    assert stack.restarts() == restarts, "nobody had to be started again"
    log = (stack.home / "logs" / "gpu-runner.log").read_text()
    assert '"event": "log_full"' in log and '"event": "log_has_room"' in log
