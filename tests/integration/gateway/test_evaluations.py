"""A model judges answers: what it is asked, what becomes of its verdicts, and that a data set is made of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.integration.gateway.curated import answered_batch
from tests.integration.gateway.stage import Answer, Stage
from tests.integration.results.stage import eventually
from tests.integration.results.test_rebuilding import verified
from tests.support.events import MODEL, NOON, RUNNER
from tests.support.exchanges import chat_body
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, SliceId
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

QUESTIONS = ["Say hello.", "Say thanks.", "Say goodbye."]
SOBER = [(question, "Fine.") for question in QUESTIONS]
WARM = [(question, f"With pleasure! {question}") for question in QUESTIONS]
JUDGE = "plain"


async def evaluate(stage: Stage, *batch_ids: str, rubric: str = "A warm answer is good.", **fields: Any) -> Answer:
    body = {"batch_ids": list(batch_ids), "model": JUDGE, "rubric": rubric} | fields
    return await stage.ask("POST", "/v1/evaluations", json=body)


async def judge_requests(stage: Stage, evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    batch = (await stage.ask("GET", f"/v1/batches/{evaluation['judge_batch_id']}")).json
    content = (await stage.ask("GET", f"/v1/files/{batch['input_file_id']}/content")).body
    return [json.loads(line) for line in content.splitlines()]


async def reply(stage: Stage, evaluation: dict[str, Any], replies: Sequence[str | None]) -> None:
    """The judge batch runs: its requests are answered in order; None for one that is not."""
    batch_id, requests = BatchId(evaluation["judge_batch_id"]), await judge_requests(stage, evaluation)
    outcomes = [
        e.Outcome(line=line, custom_id=request["custom_id"], status_code=200, body=chat_body_raw(content))
        for line, (request, content) in enumerate(zip(requests, replies, strict=True), 1)
        if content is not None
    ]
    total = len(requests)
    models = (e.ModelTotal(model=MODEL, requests=total, input_bytes=1),)
    await stage.tell(
        e.BatchValidated(batch_id=batch_id, total=total, last_line=total, models=models, at=NOON),
        e.ChunkCompleted(
            batch_id=batch_id,
            slice_id=SliceId("s-judge"),
            runner_id=RUNNER,
            epoch=1,
            chunk=1,
            model=MODEL,
            outcomes=tuple(outcomes),
            at=NOON,
        ),
        e.BatchFinalizing(batch_id=batch_id, ending=e.Ending.COMPLETED, never_ran_count=total - len(outcomes), at=NOON),
    )


def chat_body_raw(content: str) -> msgspec.Raw:
    return msgspec.Raw(chat_body(content))


def score(value: int) -> str:
    return json.dumps({"reason": f"I give {value}.", "score": value})


def better(which: str) -> str:
    return json.dumps({"reason": "It is warmer.", "better": which})


async def completed(stage: Stage, evaluation_id: str) -> dict[str, Any]:
    path = f"/v1/evaluations/{evaluation_id}"
    found: dict[str, Any] = {}

    async def is_completed() -> bool:
        found.update((await stage.ask("GET", path)).json)
        return bool(found["status"] == "completed")

    await eventually(is_completed)
    return found


async def test_scores_become_judgements_and_what_is_no_verdict_is_counted(stage: Stage):
    batch_id = await answered_batch(stage, 1, WARM)
    evaluation = (await evaluate(stage, batch_id)).json
    assert (evaluation["status"], evaluation["kind"], evaluation["item_count"]) == ("judging", "answers", 3)
    requests = await judge_requests(stage, evaluation)
    assert "With pleasure! Say hello." in requests[0]["body"]["messages"][1]["content"]

    await reply(stage, evaluation, [score(5), "I would say five.", None])
    shown = await completed(stage, evaluation["id"])
    assert (shown["judged_count"], shown["malformed_count"], shown["unanswered_count"]) == (1, 1, 1)
    [judgement] = (await stage.ask("GET", f"/v1/judgements?batch_id={batch_id}")).json["data"]
    assert (judgement["line"], judgement["score"], judgement["note"]) == (1, 5.0, "I give 5.")
    assert (judgement["judge"], judgement["source"]) == (evaluation["judge"], "model")
    assert judgement["reference"] == f"{evaluation['judge_batch_id']}:1"
    assert evaluation["judge"].startswith(f"{JUDGE}@")


async def test_pairs_that_are_judged_the_same_in_both_orders_become_a_data_set(stage: Stage):
    sober, warm = await answered_batch(stage, 1, SOBER), await answered_batch(stage, 2, WARM)
    evaluation = (await evaluate(stage, sober, warm)).json
    requests = await judge_requests(stage, evaluation)
    assert (evaluation["kind"], evaluation["item_count"], len(requests)) == ("pairs", 3, 6)
    warm_is_first = [request["custom_id"].startswith(warm) for request in requests]
    replies = [better("first" if is_first else "second") for is_first in warm_is_first]
    replies[2:4] = [better("first"), better("first")]
    await reply(stage, evaluation, replies)
    shown = await completed(stage, evaluation["id"])
    assert (shown["judged_count"], shown["inconsistent_count"]) == (3, 1)

    ask = {"name": "kind", "batch_ids": [sober, warm]}
    assert (await stage.ask("POST", "/v1/datasets", json=ask)).status == 200
    export = await stage.ask("GET", "/v1/datasets/kind/versions/1/export?format=trl-dpo")
    pairs = [json.loads(line) for line in export.body.splitlines()]
    assert len(pairs) == 2
    for pair in pairs:
        assert (pair["lineage"]["batch"], pair["lineage"]["judge"]) == (warm, [evaluation["judge"]])


async def test_the_same_request_id_asks_once(stage: Stage):
    batch_id = await answered_batch(stage, 1, WARM)
    answers = await asyncio.gather(*(evaluate(stage, batch_id, request_id="nightly") for _ in range(3)))
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len({answer.json["judge_batch_id"] for answer in answers}) == 1
    assert len((await stage.ask("GET", "/v1/evaluations")).json["data"]) == 1


async def test_a_judge_batch_that_is_cancelled_ends_without_verdicts(stage: Stage):
    evaluation = (await evaluate(stage, await answered_batch(stage, 1, WARM))).json
    batch_id = BatchId(evaluation["judge_batch_id"])
    assert (await stage.ask("POST", f"/v1/batches/{batch_id}/cancel")).status == 200
    await stage.tell(e.BatchFinalizing(batch_id=batch_id, ending=e.Ending.CANCELLED, never_ran_count=0, at=NOON))
    shown = await completed(stage, evaluation["id"])
    assert (shown["judged_count"], shown["unanswered_count"]) == (0, 3)


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nobody"}, 404, "model"),
        ({"rubric": "{first}"}, 400, "rubric"),
        ({"max_tokens": 1}, 400, "max_tokens"),
    ],
)
async def test_what_cannot_be_judged_is_refused_and_makes_no_batch(
    stage: Stage, fields: dict[str, Any], status: int, param: str
):
    batch_id = await answered_batch(stage, 1, WARM)
    refused = await evaluate(stage, batch_id, **fields)
    assert (refused.status, refused.error["param"]) == (status, param)
    assert len((await stage.ask("GET", "/v1/batches")).json["data"]) == 1


async def test_evaluations_are_rebuilt_as_they_are_served(stage: Stage, journal: Journal):
    evaluation = (await evaluate(stage, await answered_batch(stage, 1, WARM))).json
    await reply(stage, evaluation, [score(5), score(1), "?"])
    await completed(stage, evaluation["id"])
    report = await verified(stage.place, journal)
    assert (report.is_compared, report.differences) == (True, [])
    [row] = await stage.place.rows("evaluation")
    assert (row["done_count"], row["malformed_count"]) == (3, 1)
    assert len(await stage.place.rows("judgement")) == 2
