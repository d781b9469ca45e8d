"""From 2,000 answers to a training file: people judge with the SDK and in a browser, while Label Studio is killed."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.integration.gateway.curated import answered_batch
from tests.integration.gateway.stage import Stage
from tests.integration.results.test_rebuilding import verified
from tests.labeling.label_studio import LabelStudioServer, People, free_port
from tests.labeling.people_at_work import browser_at, judge_with_sdk
from tests.labeling.test_label_studio import judged, labeler, push, pushed
from tests.support.fine_tuning import faults_of_chats
from vbatch.contracts.curation import Verdict
from vbatch.journal.port import Journal

pytestmark = [pytest.mark.labeling, pytest.mark.timeout(600)]

TASKS = 2_000
CHATS = [(f"What is {number} + {number}?", str(2 * number)) for number in range(1, TASKS + 1)]


async def test_two_thousand_answers_are_pushed_and_each_judgement_arrives_once(
    stage: Stage, journal: Journal, label_studio: LabelStudioServer, people: People
):
    batch_id, port = await answered_batch(stage, 1, CHATS), free_port()
    bell = {"VBATCH_LABELER_PORT": str(port), "VBATCH_LABELER_BELL_URL": f"http://127.0.0.1:{port}/label-studio"}
    only_bell = bell | {"VBATCH_LABELER_PULL_SECONDS": "3600"}
    async with labeler(stage, label_studio, **only_bell):
        labeling = await push(stage, batch_id)
        project_id = (await pushed(stage, labeling))["project_id"]
        tasks = await people.tasks(project_id)
        assert sorted(task["data"]["vb_key"] for task in tasks) == sorted(
            f"{labeling['id']}:{place}" for place in range(TASKS)
        )
        task_ids = [int(task["id"]) for task in tasks]
        await judge_with_sdk(label_studio, "good", task_ids[:20])
        await judged(stage, 20)
    await judge_with_sdk(label_studio, "bad", task_ids[20:30])  # the bell rings, and nobody hears it
    label_studio.stop()
    async with labeler(stage, label_studio, **bell):
        label_studio.start()
        await label_studio.is_ready()
        await judged(stage, 30)
        async with browser_at(label_studio, project_id) as browser:
            for task in tasks[30:33]:
                assert await browser.judge(int(task["id"]), Verdict.GOOD) == task["data"]["answer"]
        found = await judged(stage, 33)
    assert Counter(each["line"] for each in found) == Counter(task["data"]["line"] for task in tasks[:33])
    assert Counter(each["verdict"] for each in found) == {"good": 23, "bad": 10}
    assert all(each["edited"] is None for each in found)

    await stage.ask("POST", "/v1/datasets", json={"name": "sums", "batch_ids": [batch_id], "test_share": 0})
    export = await stage.ask("GET", "/v1/datasets/sums/versions/1/export?format=openai-chat&lineage=false")
    lines = [json.loads(line) for line in export.body.splitlines()]
    assert (len(lines), faults_of_chats(lines)) == (23, [])
    report = await verified(stage.place, journal)
    assert (report.is_compared, report.differences) == (True, [])
