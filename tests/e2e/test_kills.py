"""Every process is killed once in the middle of a batch, as by the kernel: the batch completes by itself, whole."""

from __future__ import annotations

import pytest
from openai import OpenAI

from tests.e2e.asking import assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.support.stack import SLOW_CHAT, RunningStack, kill

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

REQUESTS = 5_000
DISTURBED_AT = 500
END_SECONDS_MAX = 180.0


@pytest.mark.parametrize(
    ("program", "command_part"),
    [
        ("gpu-runner", "vbatch.gpu_runner"),
        ("gpu-runner", "vbatch.gpu_runner.simulated"),
        ("scheduler", "vbatch.scheduler"),
        ("results", "vbatch.results"),
        ("nats", "nats-server"),
    ],
    ids=["gpu-runner", "engine", "scheduler", "results", "nats-server"],
)
def test_a_batch_survives_the_kill_of(stack: RunningStack, client: OpenAI, program: str, command_part: str):
    given = [chat_line(number, SLOW_CHAT) for number in range(REQUESTS)]
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, DISTURBED_AT)
    kill(stack.process(program, command_part))
    found = ended(client, batch.id, END_SECONDS_MAX)
    assert found.batch.status == "completed", stack.logs()
    assert found.errors == []
    assert_each_line_once_in_order(given, found)
