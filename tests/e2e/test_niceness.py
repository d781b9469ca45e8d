"""On a machine that is all at work, whoever waits for an answer is served before the work goes on."""

from __future__ import annotations

import os

import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.support.stack import RunningStack
from vbatch.local.settings import WORK_NICENESS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_the_work_gives_way_to_what_answers(stack: RunningStack, client: OpenAI):
    assert ended(client, submit(client, jsonl([chat_line(1)])).id).batch.status == "completed"

    answering = {stack.process(name).nice() for name in ("gateway", "nats", "postgres")}
    working = {stack.process(name).nice() for name in ("scheduler", "gpu-runner", "results")}
    own = os.nice(0)
    assert answering == {own}
    assert working | {stack.engine().nice()} == {own + WORK_NICENESS}
