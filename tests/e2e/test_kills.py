"""Every process is killed once in the middle of a batch, as by the kernel: the batch completes by itself, whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest
from openai import OpenAI

from tests.e2e.asking import (
    Ended,
    Line,
    assert_each_line_once_in_order,
    chat_line,
    ended,
    jsonl,
    submit,
    wait_for_progress,
)
from tests.support.stack import SLOW_CHAT, RunningStack, kill, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

REQUESTS = 5_000
DISTURBED_AT = 500
END_SECONDS_MAX = 180.0
RESTART_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class Disturbed:
    """A batch in the middle of which something was killed, and what became of it."""

    given: list[Line]
    found: Ended


def disturbed(stack: RunningStack, client: OpenAI, victim: Callable[[], psutil.Process]) -> Disturbed:
    given = [chat_line(number, SLOW_CHAT) for number in range(REQUESTS)]
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, DISTURBED_AT)
    kill(victim())
    return Disturbed(given, ended(client, batch.id, END_SECONDS_MAX))


def assert_whole(stack: RunningStack, batch: Disturbed) -> None:
    assert batch.found.batch.status == "completed", stack.logs()
    assert batch.found.errors == []
    assert_each_line_once_in_order(batch.given, batch.found)


@pytest.mark.parametrize("program", ["gpu-runner", "scheduler", "results", "nats", "gateway"])
def test_a_batch_survives_the_kill_of(stack: RunningStack, client: OpenAI, program: str):
    restarts = stack.restarts()
    batch = disturbed(stack, client, lambda: stack.process(program))
    assert_whole(stack, batch)
    wait_until(lambda: stack.restarts() == restarts + 1, f"{program} is started again", RESTART_SECONDS_MAX)


def test_a_batch_survives_the_kill_of_its_engine(stack: RunningStack, client: OpenAI):
    assert_whole(stack, disturbed(stack, client, stack.engine))
    assert "the engine of simulated-slow died" in stack.vbatch("events", "--type", "runner.engine_crashed").stdout
