"""Labelings as clients see them, while the test plays the labeler; the real one is in tests/labeling."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.integration.gateway.curated import answered_batch, judge
from tests.integration.gateway.stage import Answer, Stage
from tests.integration.results.test_rebuilding import verified
from tests.support.events import NOON, OWNER
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.labeling import LabelingItem
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

CHATS = [(f"What is {number} + {number}?", str(2 * number)) for number in range(1, 21)]


async def asked(stage: Stage, *batch_ids: BatchId, **fields: Any) -> Answer:
    return await stage.ask("POST", "/v1/labelings", json={"batch_ids": list(batch_ids)} | fields)


async def test_answers_are_handed_over_once_and_their_progress_is_shown(stage: Stage, journal: Journal):
    batch_id = await answered_batch(stage, 1, CHATS)
    first = (await asked(stage, batch_id, sample=7, request_id="mine", title="Sums")).json
    again = (await asked(stage, batch_id, sample=7, request_id="mine", title="Sums")).json
    assert first == again
    assert (first["status"], first["template"], first["item_count"], first["title"]) == ("waiting", "chat", 7, "Sums")

    about = {"at": NOON, "owner": OWNER, "labeling_id": first["id"]}
    await stage.tell(e.ProjectLinked(**about, project_id=3), e.TasksPushed(**about, pushed_count=4))
    shown = (await stage.ask("GET", f"/v1/labelings/{first['id']}")).json
    assert (shown["status"], shown["project_id"], shown["pushed_count"]) == ("pushing", 3, 4)
    await stage.tell(e.TasksPushed(**about, pushed_count=7), e.LabelingFailed(**about, reason="it was deleted \0"))
    assert [each["status"] for each in (await stage.ask("GET", "/v1/labelings")).json["data"]] == ["failed"]
    report = await verified(stage.place, journal)
    assert (report.is_compared, report.differences) == (True, [])


async def test_the_items_are_in_the_blob_before_the_event(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    made = (await asked(stage, batch_id)).json
    [blob] = [path for path in stage.stored_blobs() if path.name == made["id"]]
    items = [msgspec.json.decode(line, type=LabelingItem) for line in blob.read_bytes().splitlines()]
    assert [(item.answer.line, item.answer.text) for item in items][:2] == [(1, "2"), (2, "4")]
    assert len(items) == made["item_count"] == 20


async def test_only_what_nobody_judged_is_handed_over(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    await judge(stage, *({"batch_id": batch_id, "line": line, "verdict": "good"} for line in range(1, 16)))
    assert (await asked(stage, batch_id, unjudged=True)).json["item_count"] == 5


async def test_what_cannot_be_handed_over_is_refused(stage: Stage):
    batch_id = await answered_batch(stage, 1, CHATS)
    for fields, words in (({"model": "other"}, "nothing to judge"), ({"template": "classification"}, "choices")):
        refused = await asked(stage, batch_id, **fields)
        assert (refused.status, words in refused.error["message"]) == (400, True)
    assert (await stage.ask("GET", "/v1/labelings/labeling_x")).status == 404
