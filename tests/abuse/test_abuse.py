"""Nothing that anyone writes stops a service: texts that once did, by name, and some seconds of any others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest
from openai import OpenAI

from tests.abuse.campaign import ABUSER_KEY, BYSTANDER_KEY, abuse_of, abused_stack, client_of
from tests.abuse.lines import FAULTS, many_faults
from tests.e2e.asking import Ended, chat_line, ended, jsonl, submit
from tests.support.stack import CHAT, RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SEED = 1
SECONDS = 10.0
BYSTANDER_SECONDS_MAX = 5.0
LINE = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": CHAT, "messages": [{"role": "user", "content": "x"}]},
}


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with abused_stack() as running:
        yield running


@pytest.fixture
def client(stack: RunningStack) -> Iterator[OpenAI]:
    with client_of(stack, ABUSER_KEY) as made:
        yield made


def refused(stack: RunningStack, client: OpenAI, content: bytes) -> list[tuple[str | None, int | None, str | None]]:
    """The faults of a file; no service ended of it, and another owner's batch is answered."""
    restarts = stack.restarts()
    found = ended(client, submit(client, content).id)
    assert found.batch.status == "failed" and found.batch.errors is not None and found.batch.errors.data is not None
    assert len(answered_beside(stack).output) == 3
    assert stack.restarts() == restarts
    return [(fault.code, fault.line, fault.param) for fault in found.batch.errors.data]


def answered_beside(stack: RunningStack) -> Ended:
    with client_of(stack, BYSTANDER_KEY) as other:
        return ended(other, submit(other, jsonl(chat_line(number) for number in range(3))).id)


def test_field_case_01_a_long_custom_id_is_a_fault_of_its_line(stack: RunningStack, client: OpenAI):
    content = json.dumps({**LINE, "custom_id": "z" * 2_200_000}).encode()
    assert refused(stack, client, content) == [("invalid_request", 1, "custom_id")]


def test_field_case_03_a_long_method_is_a_fault_of_its_line(stack: RunningStack, client: OpenAI):
    content = json.dumps({**LINE, "method": "M" * 3_000_000}).encode()
    assert refused(stack, client, content) == [("invalid_method", 1, "method")]


def test_thousands_of_long_faults_are_told_as_far_as_they_fit(stack: RunningStack, client: OpenAI):
    faults = refused(stack, client, many_faults(Random(SEED)))
    assert {fault[0] for fault in faults} == {"invalid_method"} | (
        {"invalid_request"} if len(faults) < FAULTS else set()
    )


@pytest.mark.parametrize(
    "steer",
    [
        {"status": 500, "error_bytes": 5_000_000},
        {"tool_name_bytes": 5_000_000},
        {"finish_reason_bytes": 5_000_000},
        {"header_bytes": 5_000_000},
        {"tokens": 10**18},
        {"status": 999},
        {"busy_count": 1, "retry_after": "1 Jan 99999999999999 1:1:1 GMT"},
        {"busy_count": 1, "retry_after": "9" * 1_000_000},
    ],
    ids=lambda steer: " ".join(steer),
)
def test_an_answer_of_the_engines_stops_nobody(stack: RunningStack, client: OpenAI, steer: dict[str, object]):
    restarts = stack.restarts()
    hostile = {**LINE, "body": {**LINE["body"], "simulate": steer}}  # type: ignore[dict-item]  # its body is a document
    found = ended(client, submit(client, jsonl([hostile, {**LINE, "custom_id": "b"}])).id)
    assert found.batch.status == "completed"
    assert sorted(found.custom_ids + found.failed_ids) == ["a", "b"] and "b" in found.custom_ids
    assert stack.restarts() == restarts


def test_any_text_anywhere_stops_no_service_no_batch_and_no_other_owner(stack: RunningStack):
    report = abuse_of(stack, SEED, SECONDS)
    assert (report.service_exits, report.batches_unended, report.server_faults) == (0, 0, {})
    assert report.bystander_batches > 0 and report.bystander_lines_missing == 0
    assert report.bystander_seconds_max <= BYSTANDER_SECONDS_MAX
    assert report.endings["completed"] > 0 and report.endings["failed"] > 0
