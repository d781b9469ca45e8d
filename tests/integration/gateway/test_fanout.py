"""One file, several models: a batch for each, and the answers side by side."""

import json
from typing import Any

import openai
import pytest
from openai.types import Batch

from tests.integration.gateway.endings import created_of, ends, jsonl, outcome, runs
from tests.integration.gateway.stage import CHAT, MODELS, Stage, stage_set
from tests.integration.results.stage import Place
from tests.support.events import NOON
from vbatch.contracts import events as e
from vbatch.contracts.access import Quota
from vbatch.contracts.ids import OwnerId
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

NAMES = [model.id for model in MODELS]


async def fanned_out(stage: Stage, *custom_ids: str) -> Any:
    """The fan-out over both models."""
    first = await created_of(stage, *custom_ids, extra_body={"models": NAMES})
    return await fanout_of(stage, first)


async def fanout_of(stage: Stage, batch: Any) -> Any:
    return (await stage.ask("GET", f"/v1/fanouts/{batch.fanout_id}")).json


async def answers_of(stage: Stage, fanout_id: str) -> dict[str, Any]:
    """By custom_id: what each model has answered."""
    answer = await stage.ask("GET", f"/v1/fanouts/{fanout_id}/results")
    assert answer.status == 200, answer.body
    lines = [json.loads(line) for line in answer.body.splitlines()]
    return {line["custom_id"]: line["answers"] for line in lines}


def text_of(answer: Any) -> Any:
    return answer and answer["response"] and answer["response"]["body"]["answer"]


async def test_one_file_becomes_a_batch_for_each_model_and_the_first_is_returned(stage: Stage):
    first = await created_of(stage, "a", metadata={"k": "v"}, extra_body={"models": NAMES, "priority": 4})
    fanout = await fanout_of(stage, first)

    assert (fanout["object"], fanout["models"], fanout["is_over"]) == ("fanout", NAMES, False)
    assert fanout["batches"][0] == json.loads((await stage.ask("GET", f"/v1/batches/{first.id}")).body)
    assert len({batch["id"] for batch in fanout["batches"]}) == 2
    for model, batch in zip(NAMES, fanout["batches"], strict=True):
        assert (batch["model"], batch["fanout_id"]) == (model, fanout["id"])
        assert batch["input_file_id"] == first.input_file_id
        assert (batch["metadata"], batch["priority"]) == ({"k": "v"}, 4)


async def test_every_model_answers_each_request_on_one_line_and_retries_count(stage: Stage):
    fanout = await fanned_out(stage, "a", "b")
    one, two = [batch["id"] for batch in fanout["batches"]]
    await runs(stage, one, 2, [outcome(1, "a", "a1"), outcome(2, "b", None)])
    await runs(stage, two, 2, [outcome(2, "b", "b2")])

    answers = await answers_of(stage, fanout["id"])
    assert [list(each) for each in answers.values()] == [NAMES, NAMES]
    texts = {custom_id: [text_of(answer) for answer in each.values()] for custom_id, each in answers.items()}
    assert texts == {"a": ["a1", None], "b": [None, "b2"]}
    assert answers["a"][NAMES[1]] is None and answers["b"][NAMES[0]]["error"]["code"] == "request_timeout"

    await ends(stage, one)
    again = await stage.client.post(f"/batches/{one}/retry", cast_to=Batch)
    assert again.fanout_id is None and again.model == NAMES[0]  # type: ignore[attr-defined]  # ours
    await runs(stage, again.id, 1, [outcome(1, "b", "b1")])
    found = await answers_of(stage, fanout["id"])
    assert [text_of(answer) for answer in found["b"].values()] == ["b1", "b2"]


async def test_progress_is_counted_over_all_batches(stage: Stage):
    fanout = await fanned_out(stage, "a", "b")
    for batch in fanout["batches"]:
        await runs(stage, batch["id"], 2, [outcome(1, "a", "x"), outcome(2, "b", None)])
    running = (await stage.ask("GET", f"/v1/fanouts/{fanout['id']}")).json
    assert running["request_counts"] == {"total": 4, "completed": 2, "failed": 2} and not running["is_over"]

    for batch in fanout["batches"]:
        await ends(stage, batch["id"])
    answer = await stage.ask("GET", f"/v1/fanouts/{fanout['id']}/results")
    assert answer.headers["x-incomplete"] == "false"
    assert (await stage.ask("GET", f"/v1/fanouts/{fanout['id']}")).json["is_over"]


async def test_requests_in_the_body_are_fanned_out_too(stage: Stage):
    requests = [json.loads(line) for line in jsonl("a", "b").splitlines()]
    ask = {"endpoint": CHAT, "completion_window": "24h", "requests": requests, "models": NAMES}
    first = (await stage.ask("POST", "/v1/batches", json=ask)).json
    fanout = (await stage.ask("GET", f"/v1/fanouts/{first['fanout_id']}")).json

    assert {batch["input_file_id"] for batch in fanout["batches"]} == {first["input_file_id"]}


async def test_the_same_idempotency_key_finds_the_fanout_and_other_models_are_refused(stage: Stage):
    file = await stage.client.files.create(file=jsonl("a"), purpose="batch")
    ask = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"}
    first, again, fewer, none = [
        await stage.ask("POST", "/v1/batches", json=ask | models, headers={"Idempotency-Key": "fan"})
        for models in ({"models": NAMES}, {"models": NAMES}, {"models": NAMES[:1]}, {})
    ]
    assert (first.status, again.json["id"]) == (200, first.json["id"])
    assert [fewer.status, none.status] == [409, 409]
    assert len([batch async for batch in stage.client.batches.list()]) == 2


@pytest.mark.parametrize(
    ("models", "status", "code"),
    [
        (["plain", "mistyped"], 404, "model_not_found"),
        ([], 400, "invalid_value"),
        (["plain", "plain"], 400, "invalid_value"),
        ([f"m{n}" for n in range(17)], 400, "invalid_value"),
        ("plain", 400, "invalid_type"),
        ([1], 400, "invalid_type"),
    ],
)
async def test_bad_models_are_refused_and_nothing_is_created(stage: Stage, models: object, status: int, code: str):
    ask = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h", "models": models}
    answer = await stage.ask("POST", "/v1/batches", json=ask)

    assert (answer.status, answer.error["code"]) == (status, code)
    assert [batch async for batch in stage.client.batches.list()] == []


async def test_a_fanout_needs_a_place_for_each_of_its_batches(place: Place, journal: Journal):
    async with stage_set(place, journal) as stage:
        quota = Quota(unfinished_batches_max=1)
        await stage.tell(e.OwnerQuotaChanged(owner=OwnerId("local"), quota=quota, by="key_x", at=NOON))
        with pytest.raises(openai.RateLimitError, match="ask for 2 more, and may have 1"):
            await created_of(stage, "a", extra_body={"models": NAMES})


async def test_nobody_finds_a_fanout_that_is_not_there(stage: Stage):
    for fanout_id in ("fanout_" + "0" * 32, "x"):
        for path in (f"/v1/fanouts/{fanout_id}", f"/v1/fanouts/{fanout_id}/results"):
            answer = await stage.ask("GET", path)
            assert (answer.status, answer.error["message"]) == (404, f"No fan-out found with id '{fanout_id}'.")
