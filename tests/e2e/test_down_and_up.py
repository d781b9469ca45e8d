"""The stack is taken down and started again: what it knew, it knows."""

from __future__ import annotations

import shutil

import pytest
from openai import OpenAI

from tests.e2e.asking import assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.support.stack import SLOW_CHAT, RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_a_stop_in_the_middle_of_a_batch_costs_nothing(stack: RunningStack, client: OpenAI):
    given = [chat_line(number, SLOW_CHAT) for number in range(3_000)]
    before = ended(client, submit(client, jsonl(given[:10])).id)
    batch = submit(client, jsonl(given))
    wait_for_progress(client, batch.id, 200)
    stack.stack.down()
    shutil.rmtree(stack.home / "secrets" / "nats")  # as in a folder from before there were keys
    stack.stack.up()
    found = ended(client, batch.id)
    assert found.batch.status == "completed", stack.logs()
    assert_each_line_once_in_order(given, found)
    assert ended(client, before.batch.id) == before
