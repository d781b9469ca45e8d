"""Two devices on one log: they share the work, and what one of them held when it was lost runs on the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.e2e.asking import Line, assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.support.postgres import free_port
from tests.support.stack import SLOW_CHAT, RunningStack, kill, running_stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

REQUESTS, DISTURBED_AT, END_SECONDS_MAX = 2_000, 200, 120.0
LATENCY_SECONDS = 0.5
SILENCE_SECONDS_MAX = 5.0
SECOND = "gpu1"


@contextmanager
def second_runner(stack: RunningStack) -> Iterator[psutil.Process]:
    """A runner that no supervisor starts again."""
    own = {
        "VBATCH_GPU_RUNNER_ID": SECOND,
        "VBATCH_GPU_RUNNER_PORT": str(free_port()),
        "VBATCH_PARENT_DEATH": "1",
    }
    log = (stack.home / "logs" / "second-runner.log").open("wb")
    with log, subprocess.Popen(
        [sys.executable, "-m", "vbatch.gpu_runner"],
        env=os.environ | dict(stack.environment) | stack.stack.environment("gpu-runner") | own, stdout=log, stderr=log,
    ) as process:  # fmt: skip
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def slow_line(number: int) -> Line:
    line = chat_line(number, SLOW_CHAT)
    line["body"]["simulate"] = {"latency_seconds": LATENCY_SECONDS}
    return line


def told(stack: RunningStack, kind: str) -> str:
    return stack.vbatch("events", "--type", kind, "--json").stdout


def test_two_runners_share_a_batch_and_the_loss_of_one_loses_nothing():
    environment = {"VBATCH_SCHEDULER_RUNNER_SILENCE_SECONDS_MAX": str(SILENCE_SECONDS_MAX)}
    with running_stack(environment=environment) as stack, stack.client() as client, second_runner(stack) as second:
        wait_until(lambda: SECOND in told(stack, "runner.lease"), "the second runner has its lease", 30.0)
        given = [slow_line(number) for number in range(REQUESTS)]
        batch = submit(client, jsonl(given))
        wait_for_progress(client, batch.id, DISTURBED_AT)
        kill(second)
        found = ended(client, batch.id, END_SECONDS_MAX)
        assert found.batch.status == "completed", stack.logs()
        assert found.errors == []
        assert_each_line_once_in_order(given, found)
        assert SECOND in told(stack, "batch.dispatched"), "the second runner got none of the work"
        assert SECOND in told(stack, "runner.lost")
