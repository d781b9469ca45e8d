"""Requests in the body of a create, in place of a file: the server makes the file."""

import json
from typing import Any

import openai
import pytest

from tests.integration.gateway.endings import request
from tests.integration.gateway.stage import CHAT, Stage

pytestmark = pytest.mark.integration

ASK = {"endpoint": CHAT, "completion_window": "24h"}


async def create(stage: Stage, requests: list[Any], **options: Any) -> Any:
    """As the official client does it: what it does not know goes by `extra_body`."""
    return await stage.client.batches.create(
        input_file_id=openai.NOT_GIVEN,  # type: ignore[arg-type]  # there is none
        endpoint=CHAT,
        completion_window="24h",
        extra_body={"requests": requests},
        **options,
    )


async def test_the_official_client_creates_a_batch_without_an_upload(stage: Stage):
    requests = [request("a"), request("b", temperature=0.5)]
    batch = await create(stage, requests)
    content = (await stage.client.files.content(batch.input_file_id)).content

    assert batch.status == "validating" and batch.retry_of is None
    assert [json.loads(line) for line in content.splitlines()] == requests
    file = await stage.client.files.retrieve(batch.input_file_id)
    assert (file.purpose, file.filename, file.bytes) == ("batch", f"{batch.id}_requests.jsonl", len(content))


async def test_requests_keep_the_numbers_and_the_texts_that_the_client_wrote(stage: Stage):
    body = '{"seed":123456789012345678901,\n "x":1.50}'
    raw = f'{{"custom_id":"a","method":"POST","url":"{CHAT}","body":{body}}}'
    asked = json.dumps(ASK)[:-1] + f',"requests":[{raw}]}}'
    batch = (await stage.ask("POST", "/v1/batches", data=asked.encode())).json
    content = (await stage.client.files.content(batch["input_file_id"])).content

    assert content.decode() == raw.replace("\n", " ") + "\n"


async def test_a_file_and_requests_exclude_each_other_and_one_is_required(stage: Stage):
    both = await stage.ask("POST", "/v1/batches", json=ASK | {"input_file_id": "file-x", "requests": [request("a")]})
    assert (both.status, both.error["code"], both.error["param"]) == (400, "mutually_exclusive_parameters", "requests")
    neither = await stage.ask("POST", "/v1/batches", json=ASK)
    assert (neither.status, neither.error["code"], neither.error["param"]) == (
        400,
        "missing_required_parameter",
        "input_file_id",
    )


@pytest.mark.parametrize("requests", [[], "a", [1], [{}] * 1_001])
async def test_what_is_no_list_of_requests_is_refused(stage: Stage, requests: object):
    answer = await stage.ask("POST", "/v1/batches", json=ASK | {"requests": requests})
    assert answer.status == 400 and answer.error["param"].startswith("requests")


async def test_the_same_idempotency_key_finds_the_batch_and_other_requests_are_refused(stage: Stage):
    headers = {"Idempotency-Key": "inline"}
    first, again, other = [
        await stage.ask("POST", "/v1/batches", json=ASK | {"requests": [request(custom_id)]}, headers=headers)
        for custom_id in ("a", "a", "b")
    ]
    assert (first.status, again.json["id"], other.status) == (200, first.json["id"], 409)


async def test_a_repeated_ask_finds_its_batch_by_its_requests(stage: Stage):
    made = [(await create(stage, [request(custom_id)])).id for custom_id in ("a", "b")]
    again = await create(stage, [request("a")], extra_headers={"x-stainless-retry-count": "1"})
    assert again.id == made[0]
