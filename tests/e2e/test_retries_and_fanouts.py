"""Requests run again and on several models, through the official client, while processes are killed."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import urlopen

import pytest
from openai import NOT_GIVEN, OpenAI
from openai.types import Batch

from tests.e2e.asking import Line, chat_line, ended, jsonl, submit, wait_for_end, wait_for_progress
from tests.support.stack import CHAT, OTHER_CHAT, SLOW_CHAT, RunningStack, kill

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

REQUESTS = 2_000
CANCELLED_AT = 200
READ_SECONDS_MAX = 60


def lines_of(client: OpenAI, path: str) -> list[Line]:
    with urlopen(f"{str(client.base_url).rstrip('/')}{path}", timeout=READ_SECONDS_MAX) as answer:
        return [json.loads(line) for line in answer]


def retry(client: OpenAI, batch_id: str, **body: Any) -> Any:
    return client.post(f"/batches/{batch_id}/retry", cast_to=Batch, body=body or None)


def test_a_cancelled_batch_is_completed_by_its_retry_though_services_are_killed(stack: RunningStack, client: OpenAI):
    given = [chat_line(number, SLOW_CHAT) for number in range(REQUESTS)]
    first = submit(client, jsonl(given))
    wait_for_progress(client, first.id, CANCELLED_AT)
    client.batches.cancel(first.id)
    assert wait_for_end(client, first.id).status == "cancelled"

    second = retry(client, first.id, select=["cancelled"])
    wait_for_progress(client, second.id, CANCELLED_AT)
    for program in ("gpu-runner", "results", "scheduler"):
        kill(stack.process(program))
    found = ended(client, second.id)

    assert (found.batch.status, found.errors) == ("completed", [])
    merged = lines_of(client, f"/batches/{second.id}/results?merged=true")
    asked = [line["custom_id"] for line in given]
    assert sorted(line["custom_id"] for line in merged) == sorted(asked)
    assert all(line["response"]["status_code"] == 200 for line in merged)
    assert len(found.output) + ended(client, first.id).batch.request_counts.completed == REQUESTS  # type: ignore[union-attr]


def test_a_file_in_the_body_fans_out_and_each_model_answers_every_request(client: OpenAI):
    models = [CHAT, OTHER_CHAT]
    requests = [chat_line(number, "replaced") for number in range(40)]
    batch: Any = client.batches.create(
        input_file_id=NOT_GIVEN,  # type: ignore[arg-type]  # there is none
        endpoint="/v1/chat/completions",
        completion_window="24h",
        extra_body={"requests": requests, "models": models},
    )
    fanout: Any = client.get(f"/fanouts/{batch.fanout_id}", cast_to=object)
    for each in fanout["batches"]:
        assert wait_for_end(client, each["id"]).status == "completed"

    answers = lines_of(client, f"/fanouts/{batch.fanout_id}/results")
    assert [line["custom_id"] for line in answers] == [request["custom_id"] for request in requests]
    for line in answers:
        assert {model: answer["response"]["body"]["model"] for model, answer in line["answers"].items()} == {
            model: model for model in models
        }


def test_the_read_model_with_retries_and_fanouts_is_rebuilt_from_the_log(stack: RunningStack, client: OpenAI):
    batch: Any = submit(client, jsonl([chat_line(1), chat_line(2)]), models=[CHAT, OTHER_CHAT])
    wait_for_end(client, batch.id)
    again = retry(client, batch.id, custom_ids=["request-2"])
    assert wait_for_end(client, again.id).status == "completed"
    manifest: Any = client.get(f"/batches/{again.id}/manifest", cast_to=object)
    assert [(engine["model"], engine["engine"]) for engine in manifest["engines"]] == [(CHAT, "simulated")]
    verified = stack.vbatch("rebuild", "--verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
