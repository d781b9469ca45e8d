"""On a machine that is all at work, clients and the device are served before what nobody waits for."""

from __future__ import annotations

import os

import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.support.stack import RunningStack
from vbatch.local.settings import WORK_NICENESS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_what_nobody_waits_for_gives_way_to_clients_and_the_device(stack: RunningStack, client: OpenAI):
    assert ended(client, submit(client, jsonl([chat_line(1)])).id).batch.status == "completed"

    waited_for = {stack.process(name).nice() for name in ("gateway", "nats", "postgres", "gpu-runner")}
    beside = {stack.process(name).nice() for name in ("scheduler", "results")}
    own = os.nice(0)
    assert waited_for | {stack.engine().nice()} == {own}
    assert beside == {own + WORK_NICENESS}
