"""Judgements come in, are listed, taken back, and are rebuilt from the log byte for byte."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.integration.gateway.curated import answered_batch, judge
from tests.integration.gateway.stage import Stage, stage_set
from tests.integration.results.stage import Place
from tests.integration.results.test_rebuilding import verified
from tests.support.events import BATCH
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.api_keys import ApiKeys
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

CHATS = [("What is 2 + 2?", "4"), ("What is 2 + 2?", "5"), ("Say hello.", "Hello!")]
KEYS = ApiKeys({hashlib.sha256(key.encode()).hexdigest(): OwnerId(key) for key in ("local", "bob")})


async def listed(stage: Stage, query: str = "") -> list[dict[str, Any]]:
    answer = await stage.ask("GET", f"/v1/judgements?{query}")
    assert answer.status == 200
    return list(answer.json["data"])


async def test_an_answer_is_judged_and_its_judgement_can_be_read_at_once(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    said = {"batch_id": batch_id, "line": 3, "verdict": "good", "score": 4.5, "tags": ["polite"], "note": "nul \0"}
    answer = await judge(stage, said | {"edited": "Hello, Ada!"}, judge="anna", source="console")
    [judgement] = answer.json["data"]
    assert (answer.status, judgement["judge"], judgement["source"]) == (200, "anna", "console")
    assert (judgement["verdict"], judgement["score"], judgement["tags"]) == ("good", 4.5, ["polite"])
    assert await listed(stage, f"batch_id={batch_id}&line=3&judge=anna") == [judgement]
    assert await listed(stage, "judge=ben") == []


async def test_a_pair_is_compared(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    pair = {"batch_id": batch_id, "line": 1, "other_batch_id": batch_id, "other_line": 2, "vote": "a"}
    [judgement] = (await judge(stage, pair)).json["data"]
    assert (judgement["vote"], judgement["other_line"], judgement["verdict"]) == ("a", 2, None)
    assert await listed(stage, "line=2") == [judgement]


async def test_a_judgement_that_is_taken_back_counts_no_more(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    said = [{"batch_id": batch_id, "line": 1, "verdict": verdict} for verdict in ("bad", "good")]
    first, second = [(await judge(stage, each)).json["data"][0] for each in said]
    path = f"/v1/judgements/{second['id']}/withdraw"
    assert (await stage.ask("POST", path)).json == {
        "id": second["id"],
        "object": "judgement.withdrawn",
        "withdrawn": True,
    }
    assert await listed(stage) == [first]
    again = await stage.ask("POST", path)
    assert (again.status, again.error["param"]) == (404, "judgement_id")


async def test_many_are_recorded_at_once_and_listed_by_pages(stage: Stage):
    batch_id = await answered_batch(stage, 1, [(f"What is {number}?", str(number)) for number in range(300)])
    answer = await judge(stage, *({"batch_id": batch_id, "line": line, "verdict": "good"} for line in range(1, 301)))
    assert len(answer.json["data"]) == 300
    page = (await stage.ask("GET", "/v1/judgements?limit=200")).json
    rest = (await stage.ask("GET", f"/v1/judgements?limit=200&after={page['last_sequence']}")).json
    assert (page["has_more"], rest["has_more"]) == (True, False)
    assert [each["line"] for each in page["data"] + rest["data"]] == list(range(1, 301))
    newest = (await stage.ask("GET", "/v1/judgements?limit=1&order=desc")).json["data"]
    assert [each["line"] for each in newest] == [300]


async def test_the_same_idempotency_key_records_the_same_judgements_once(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    said = [{"batch_id": batch_id, "line": line, "verdict": "good"} for line in (1, 2)]
    first, second = [await judge(stage, *said, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert first.json == second.json
    third = await judge(
        stage, *said, {"batch_id": batch_id, "line": 3, "verdict": "bad"}, headers={"Idempotency-Key": "k"}
    )
    assert len(third.json["data"]) == len(await listed(stage)) == 3


async def test_only_answers_that_are_there_can_be_judged(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    beyond = await judge(
        stage, {"batch_id": batch_id, "line": 1, "verdict": "good"}, {"batch_id": batch_id, "line": 9, "verdict": "bad"}
    )
    assert (beyond.status, beyond.error["param"]) == (400, "line")
    assert "Line 9" in beyond.error["message"]
    unknown = await judge(stage, {"batch_id": BATCH, "line": 1, "verdict": "good"})
    assert unknown.status == 404
    assert await listed(stage) == []


async def test_nobody_judges_or_reads_what_belongs_to_others(place: Place, journal: Journal):
    async with stage_set(place, journal, keys=KEYS) as stage:
        batch_id = await answered_batch(stage, 1, CHATS)
        said = {"judgements": [{"batch_id": batch_id, "line": 1, "verdict": "good"}]}
        own, other = ({"Authorization": f"Bearer {key}"} for key in ("local", "bob"))
        assert (await stage.ask("POST", "/v1/judgements", json=said, headers=other)).status == 404
        judgement = (await stage.ask("POST", "/v1/judgements", json=said, headers=own)).json["data"][0]
        assert (await stage.ask("GET", "/v1/judgements", headers=other)).json["data"] == []
        withdrawn = await stage.ask("POST", f"/v1/judgements/{judgement['id']}/withdraw", headers=other)
        assert withdrawn.status == 404
        events = (await stage.ask("GET", "/v1/events?detail=all", headers=other)).json["data"]
        assert [event["type"] for event in events if event["aggregate"] == "judgement"] == []


async def test_judgements_and_data_sets_are_rebuilt_as_they_are_served(stage: Stage, journal: Journal):
    batch_id = await answered_batch(stage, 1, CHATS)
    first = (await judge(stage, {"batch_id": batch_id, "line": 1, "verdict": "good", "tags": ["nul \u00e9"]})).json
    pair = {"batch_id": batch_id, "line": 1, "other_batch_id": batch_id, "other_line": 2, "vote": "tie"}
    await judge(stage, pair, {"batch_id": batch_id, "line": 3, "edited": "Hello, Ada!", "score": 1.5})
    await stage.ask("POST", "/v1/datasets", json={"name": "support", "batch_ids": [batch_id]})
    await stage.ask("POST", "/v1/datasets", json={"name": "support", "batch_ids": [batch_id], "test_share": 0.5})
    await stage.ask("POST", f"/v1/judgements/{first['data'][0]['id']}/withdraw")
    await stage.ask("DELETE", "/v1/datasets/support/versions/1")

    report = await verified(stage.place, journal)
    assert (report.is_compared, report.differences) == (True, [])
    assert len(await stage.place.rows("judgement")) == 3
    rows = await stage.place.rows("dataset_version")
    assert [(row["version"], row["deleted_sequence"] is None) for row in rows] == [(1, False), (2, True)]
