"""The official client against the whole stack: what works against OpenAI works here."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest
from openai import ConflictError, OpenAI

from tests.e2e.asking import assert_each_line_once_in_order, chat_line, embedding_line, ended, jsonl, submit
from tests.support.stack import CHAT, EMBEDDING, OTHER_CHAT, SLOW_CHAT, RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def test_a_batch_comes_back_whole_and_in_the_order_of_its_input(client: OpenAI):
    given = [chat_line(number) for number in range(200)]
    found = ended(client, submit(client, jsonl(given)).id)
    assert found.batch.status == "completed"
    assert (found.batch.output_file_id is not None, found.batch.error_file_id) == (True, None)
    assert_each_line_once_in_order(given, found)
    assert all(line["response"]["status_code"] == 200 for line in found.output)


def test_metadata_and_counts_stand_on_the_batch(client: OpenAI):
    batch = submit(client, jsonl([chat_line(1)]), metadata={"project": "demo"})
    found = ended(client, batch.id).batch
    assert found.metadata == {"project": "demo"}
    assert found.request_counts and found.request_counts.model_dump() == {"total": 1, "completed": 1, "failed": 0}
    assert found.usage and found.usage.output_tokens > 0


def test_embeddings_come_back_as_vectors(client: OpenAI):
    given = [embedding_line(number, EMBEDDING) for number in range(20)]
    found = ended(client, submit(client, jsonl(given), "/v1/embeddings").id)
    assert_each_line_once_in_order(given, found)
    assert all(len(line["response"]["body"]["data"][0]["embedding"]) > 0 for line in found.output)


def test_models_of_the_file_are_listed(client: OpenAI):
    assert {CHAT, EMBEDDING} <= {model.id for model in client.models.list()}


def test_two_batches_for_two_models_both_complete(client: OpenAI):
    first = [chat_line(number, CHAT) for number in range(100)]
    second = [chat_line(number, OTHER_CHAT) for number in range(100)]
    batches = [submit(client, jsonl(lines)) for lines in (first, second)]
    for given, batch in zip((first, second), batches, strict=True):
        found = ended(client, batch.id)
        assert_each_line_once_in_order(given, found)
        assert {line["response"]["body"]["model"] for line in found.output} == {given[0]["body"]["model"]}


GOOD = chat_line(1)
BAD_FILES = {
    "not json": (jsonl([GOOD]) + b"{no\n", 2, "invalid_json_line", None),
    "same id twice": (jsonl([GOOD, GOOD]), 2, "duplicate_custom_id", "custom_id"),
    "another url": (jsonl([GOOD | {"url": "/v1/embeddings"}]), 1, "invalid_url", "url"),
    "no such model": (jsonl([chat_line(1, "absent")]), 1, "model_not_found", "body.model"),
    "streaming": (jsonl([GOOD | {"body": GOOD["body"] | {"stream": True}}]), 1, "streaming_unsupported", "body.stream"),
    "no messages": (jsonl([GOOD | {"body": {"model": CHAT}}]), 1, "invalid_request", "body.messages"),
    "no id": (
        jsonl([{k: v for k, v in GOOD.items() if k != "custom_id"}]),
        1,
        "missing_required_parameter",
        "custom_id",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_bad_file_fails_the_batch_and_names_the_line(client: OpenAI, case: tuple[bytes, int, str, str | None]):
    content, line, code, param = case
    found = ended(client, submit(client, content).id)
    assert (found.batch.status, found.output, found.errors) == ("failed", [], [])
    assert found.batch.errors and found.batch.errors.data
    fault = found.batch.errors.data[0]
    assert (fault.line, fault.code, fault.param) == (line, code, param)


def test_a_cancelled_batch_keeps_what_was_answered_and_names_what_never_ran(client: OpenAI):
    given = [chat_line(number, SLOW_CHAT) for number in range(3000)]
    batch = submit(client, jsonl(given))
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    found = ended(client, batch.id)
    assert found.batch.status == "cancelled"
    if found.batch.request_counts and found.batch.request_counts.total:
        assert_each_line_once_in_order(given, found)
        assert {line["error"]["code"] for line in found.errors} == {"batch_cancelled"}


def test_a_completed_batch_cannot_be_cancelled(client: OpenAI):
    batch = submit(client, jsonl([chat_line(1)]))
    ended(client, batch.id)
    with pytest.raises(ConflictError):
        client.batches.cancel(batch.id)


def test_results_can_be_read_without_knowing_a_file(client: OpenAI, stack: RunningStack):
    batch = submit(client, jsonl([chat_line(number) for number in range(10)]))
    ended(client, batch.id)
    with urlopen(f"{stack.url}/v1/batches/{batch.id}/results") as answer:
        found = [json.loads(line)["custom_id"] for line in answer]
    assert sorted(found) == sorted(f"request-{n}" for n in range(10))
