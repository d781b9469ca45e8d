"""Versions of data sets: made of judged answers, never changed, exported."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.gateway.curated import answered_batch, judge
from tests.integration.gateway.stage import Answer, Stage
from vbatch.contracts.ids import BatchId
from vbatch.gateway.flows.curation.dataset_sweep import DatasetSweep

pytestmark = pytest.mark.integration

CHATS = [
    ("What is 2 + 2?", "4"),
    ("What is 2 + 2?", "5"),
    ("Say hello.", "Hello!"),
    ("Name a colour.", "Red"),
    ("Name a colour, please.", "Blue"),
]


async def judged_batch(stage: Stage) -> BatchId:
    batch_id = await answered_batch(stage, 1, CHATS)
    verdicts = {1: "good", 2: "bad", 4: "good", 5: "bad"}
    await judge(
        stage,
        *({"batch_id": batch_id, "line": line, "verdict": verdict} for line, verdict in verdicts.items()),
        {"batch_id": batch_id, "line": 3, "edited": "Hello, Ada!"},
        judge="anna",
    )
    return batch_id


async def created(stage: Stage, *batch_ids: BatchId, **fields: Any) -> Answer:
    return await stage.ask("POST", "/v1/datasets", json={"name": "support", "batch_ids": list(batch_ids)} | fields)


async def exported(stage: Stage, query: str = "", version: str = "latest") -> list[dict[str, Any]]:
    answer = await stage.ask("GET", f"/v1/datasets/support/versions/{version}/export?{query}")
    assert answer.status == 200
    return [json.loads(line) for line in answer.body.splitlines()]


async def test_a_version_holds_what_was_judged(stage: Stage):
    batch_id = await judged_batch(stage)
    made = (await created(stage, batch_id, test_share=0)).json
    assert (made["id"], made["version"], made["selection"]["batch_ids"]) == ("support:1", 1, [batch_id])
    found = made["statistics"]
    assert {name: found[name] for name in ("answers", "pairs", "good", "bad", "edited")} == {
        "answers": 5,
        "pairs": 2,
        "good": 3,
        "bad": 2,
        "edited": 1,
    }
    assert found["judges"] == [{"name": "anna", "count": 7}]
    assert (await stage.ask("GET", "/v1/datasets/support/versions/latest")).json == made
    assert (await stage.ask("GET", "/v1/datasets")).json["data"] == [made]


async def test_every_line_of_an_export_names_batch_line_model_judge_and_event(stage: Stage):
    batch_id = await judged_batch(stage)
    await created(stage, batch_id)
    sequences = {each["line"]: each["sequence"] for each in (await stage.ask("GET", "/v1/judgements")).json["data"]}
    lines = await exported(stage, "format=trl-kto")
    assert len(lines) == 5
    for line in lines:
        lineage = line["lineage"]
        assert (lineage["batch"], lineage["judge"]) == (batch_id, ["anna"])
        assert lineage["event"] == [sequences[lineage["line"]]]
    assert all("lineage" not in line for line in await exported(stage, "format=trl-kto&lineage=false"))


async def test_a_version_never_changes_and_the_same_question_at_the_same_moment_has_the_same_answer(stage: Stage):
    batch_id = await judged_batch(stage)
    first = (await created(stage, batch_id)).json
    before = await exported(stage, version="1")
    await judge(stage, {"batch_id": batch_id, "line": 1, "verdict": "bad"}, judge="anna")
    withdrawn = (await stage.ask("GET", "/v1/judgements?line=5")).json["data"][0]
    await stage.ask("POST", f"/v1/judgements/{withdrawn['id']}/withdraw")

    second = (await created(stage, batch_id)).json
    third = (await created(stage, batch_id, at_sequence=first["at_sequence"])).json
    assert [each["version"] for each in (first, second, third)] == [1, 2, 3]
    assert first["sha256"] == third["sha256"] != second["sha256"]
    assert await exported(stage, version="1") == before == await exported(stage, version="3")
    assert second["statistics"]["good"] == 2


async def test_near_duplicates_share_a_split(stage: Stage):
    batch_id = await judged_batch(stage)
    await created(stage, batch_id, test_share=0.4, validation_share=0.2, seed=5)
    lines = await exported(stage)
    splits: dict[str, set[str]] = {}
    for line in lines:
        splits.setdefault(line["prompt"][0]["content"], set()).add(line["split"])
    assert all(len(each) == 1 for each in splits.values())
    parts = [await exported(stage, f"split={split}") for split in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(lines)


async def test_a_card_says_what_is_in_a_version(stage: Stage):
    batch_id = await judged_batch(stage)
    await created(stage, batch_id)
    answer = await stage.ask("GET", "/v1/datasets/support/versions/1/card")
    assert answer.headers["content-type"].startswith("text/markdown")
    card = answer.body.decode()
    assert "| Answers | 5: 3 good, 2 bad, 1 of them edited |" in card
    assert f"`{batch_id}`" in card and "anna (7)" in card


async def test_a_data_set_of_nothing_is_refused_with_the_reason(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    empty = await created(stage, batch_id)
    assert (empty.status, "None of its answers is judged" in empty.error["message"]) == (400, True)
    await judge(stage, {"batch_id": batch_id, "line": 1, "verdict": "unsure"})
    unsure = await created(stage, batch_id)
    assert "judges are unsure: 1" in unsure.error["message"]
    late = await created(stage, batch_id, at_sequence=10**9)
    assert (late.status, late.error["param"]) == (400, "at_sequence")


async def test_a_deleted_version_is_gone_and_its_number_is_not_given_again(stage: Stage):
    batch_id = await judged_batch(stage)
    for _ in range(2):
        await created(stage, batch_id)
    blobs = [path for path in stage.stored_blobs() if "datasets" in path.parts]
    assert len(blobs) == 2
    assert (await stage.ask("DELETE", "/v1/datasets/support/versions/2")).json["deleted"] is True
    assert len([path for path in stage.stored_blobs() if "datasets" in path.parts]) == 1
    for method, path in (("GET", "2"), ("DELETE", "2"), ("GET", "2/export"), ("GET", "2/card")):
        assert (await stage.ask(method, f"/v1/datasets/support/versions/{path}")).status == 404
    assert (await stage.ask("GET", "/v1/datasets/support/versions/latest")).json["version"] == 1
    assert (await created(stage, batch_id)).json["version"] == 3


async def test_what_cannot_be_exported_is_refused(stage: Stage):
    batch_id = await judged_batch(stage)
    await created(stage, batch_id)
    for query in ("format=csv", "split=all", "lineage=1"):
        assert (await stage.ask("GET", f"/v1/datasets/support/versions/1/export?{query}")).status == 400
    assert (await stage.ask("GET", "/v1/datasets/other/versions/1")).status == 404
    assert (await stage.ask("GET", "/v1/datasets/support/versions/x")).status == 404


async def test_lines_that_no_version_names_are_swept(stage: Stage):
    batch_id = await judged_batch(stage)
    made = (await created(stage, batch_id)).json
    [kept] = [path for path in stage.stored_blobs() if "datasets" in path.parts]
    stray = kept.with_name("ab" * 16)
    stray.write_bytes(b"{}\n")
    sweep = DatasetSweep(stage.parts.dependencies)
    assert (await sweep.sweep(), stray.exists()) == (0, True)
    assert (await sweep.sweep(older_than_seconds=-1), stray.exists(), kept.exists()) == (1, False, True)
    assert len(await exported(stage, version="1")) == made["statistics"]["answers"] + made["statistics"]["pairs"]
