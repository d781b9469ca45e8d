"""A home that holds what it may hold takes no new work and finishes what it has."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.support.stack import SLOW_CHAT, RunningStack, running_stack, wait_until
from vbatch.chassis.disk_use import COUNTED_SECONDS, used_bytes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

REQUESTS = 40
LIMIT_BYTES = 512 << 20


@pytest.fixture
def small_home() -> Iterator[RunningStack]:
    with running_stack(environment={"VBATCH_DISK_BYTES_MAX": str(LIMIT_BYTES)}) as running:
        yield running


def test_new_work_is_refused_where_the_home_is_full_and_accepted_work_ends(small_home: RunningStack):
    client = small_home.client().with_options(max_retries=0)
    accepted = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(REQUESTS)))
    filler = small_home.home / "filler"
    filler.write_bytes(bytes(LIMIT_BYTES - used_bytes(small_home.home)))
    wait_until(lambda: is_refused(client), "new work is refused", COUNTED_SECONDS * 2)

    told = json.loads(small_home.vbatch("status", "--json").stdout)["disk"]
    assert told["used_bytes"] >= told["refused_from_bytes"]
    assert "new work is refused until" in small_home.vbatch("status").stdout.replace("\n", " ")
    assert len(ended(client, accepted.id).output) == REQUESTS

    filler.unlink()
    wait_until(lambda: not is_refused(client), "new work is taken again", COUNTED_SECONDS * 2)


def is_refused(client: openai.OpenAI) -> bool:
    try:
        client.files.create(file=("in.jsonl", jsonl([chat_line(1)])), purpose="batch")
    except openai.APIStatusError as refusal:
        assert (refusal.status_code, "VBATCH_DISK_BYTES_MAX" in str(refusal)) == (507, True), refusal
        return True
    return False
