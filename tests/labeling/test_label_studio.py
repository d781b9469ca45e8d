"""Answers go to a real Label Studio and judgements come back, each once, whatever is killed, stopped or deleted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway.curated import answered_batch
from tests.integration.gateway.stage import Stage
from tests.labeling.label_studio import LEGACY_TOKEN, LabelStudioServer, People, free_port
from vbatch.chassis.failpoints import FOLDER_VARIABLE, Failpoint
from vbatch.contracts.ids import BatchId

pytestmark = [pytest.mark.labeling, pytest.mark.timeout(400)]

CHATS = [(f"What is {number} + {number}?", str(2 * number)) for number in range(1, 601)]
WAIT_SECONDS = 90.0
POLL_SECONDS = 0.2


@asynccontextmanager
async def labeler(stage: Stage, label_studio: LabelStudioServer, **more: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """The process itself; the block ends with a kill, unless it has died before."""
    process = start_labeler(stage.place.home / "labeler.log", labeler_settings(stage, label_studio) | more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def labeler_settings(stage: Stage, label_studio: LabelStudioServer) -> dict[str, str]:
    return {
        "VBATCH_HOME": str(stage.place.home),
        "VBATCH_NATS_URL": stage.place.nats_url,
        "VBATCH_LABELER_LABEL_STUDIO_URL": label_studio.url,
        "VBATCH_LABELER_LABEL_STUDIO_TOKEN": LEGACY_TOKEN,
        "VBATCH_LABELER_PULL_SECONDS": "0.5",
        "VBATCH_LABELER_PORT": "0",
    }


def start_labeler(log_file: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    with log_file.open("ab") as log:
        command = [sys.executable, "-m", "vbatch.labeler"]
        return subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(POLL_SECONDS)


async def push(stage: Stage, *batch_ids: BatchId, **fields: Any) -> dict[str, Any]:
    answer = await stage.ask("POST", "/v1/labelings", json={"batch_ids": list(batch_ids)} | fields)
    assert answer.status == 200, answer.body
    return dict(answer.json)


async def pushed(stage: Stage, labeling: dict[str, Any]) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = (await stage.ask("GET", f"/v1/labelings/{labeling['id']}")).json
        assert found["status"] != "failed", found["failure"]
        return dict(found) if found["status"] == "pushed" else None

    return dict(await until(look))


async def judgements(stage: Stage) -> list[dict[str, Any]]:
    return list((await stage.ask("GET", "/v1/judgements?limit=1000")).json["data"])


async def judged(stage: Stage, count: int) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]] | None:
        found = await judgements(stage)
        return found if len(found) == count else None

    return list(await until(look))


def arm(folder: Path, place: Failpoint) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{place}.armed").write_text("KILL")


async def dead(process: subprocess.Popen[bytes]) -> None:
    async def look() -> bool:
        return process.poll() is not None

    await until(look)


async def test_a_sample_becomes_tasks_with_predictions(stage: Stage, label_studio: LabelStudioServer, people: People):
    batch_id = await answered_batch(stage, 1, CHATS[:40])
    async with labeler(stage, label_studio):
        labeling = await push(stage, batch_id, sample=12, title="Sums", request_id="first")
        done = await pushed(stage, labeling)
        assert (done["template"], done["item_count"]) == ("chat", 12)
        project = await people.ask("GET", f"/api/projects/{done['project_id']}/")
        assert (project["title"], project["task_number"]) == ("Sums", 12)
        [first, *_] = await people.tasks(done["project_id"])
        line = first["data"]["line"]
        assert first["data"]["messages"] == [{"role": "user", "content": CHATS[line - 1][0]}]
        [prediction] = first["predictions"]
        assert prediction["model_version"].startswith("org/small-model")
        assert prediction["result"][0]["value"] == {"text": [CHATS[line - 1][1]]}
        assert (await push(stage, batch_id, sample=12, request_id="first"))["id"] == labeling["id"]


async def test_judgements_come_back_and_follow_what_people_do(
    stage: Stage, label_studio: LabelStudioServer, people: People
):
    batch_id = await answered_batch(stage, 1, CHATS[:5])
    async with labeler(stage, label_studio):
        project_id = (await pushed(stage, await push(stage, batch_id)))["project_id"]
        tasks = await people.tasks(project_id)
        good = await people.annotate(
            tasks[0]["id"], 4.5, verdict="good", score=5, edited=CHATS[0][1], tags=["too long"]
        )
        await people.annotate(tasks[1]["id"], edited="four", note="in words, please")
        found = {each["line"]: each for each in await judged(stage, 2)}
        assert (found[1]["verdict"], found[1]["score"], found[1]["edited"]) == ("good", 5.0, None)
        assert (found[1]["judge"], found[1]["source"], found[1]["seconds"]) == (
            "ls:admin@example.com",
            "label_studio",
            4.5,
        )
        assert (found[1]["tags"], found[2]["edited"], found[2]["note"]) == (["too long"], "four", "in words, please")

        await people.change(good, verdict="bad")

        async def is_changed() -> bool:
            return [each["verdict"] for each in await judgements(stage) if each["line"] == 1] == ["bad"]

        await until(is_changed)
        await people.ask("DELETE", f"/api/tasks/{tasks[1]['id']}/")  # what was judged in it stays
        third = await people.annotate(tasks[2]["id"], verdict="good")
        await judged(stage, 3)
        await people.ask("DELETE", f"/api/annotations/{third}/")  # a judgement that is taken back counts no more
    async with labeler(stage, label_studio):
        assert sorted(each["line"] for each in await judged(stage, 2)) == [1, 2]
        await people.ask("DELETE", f"/api/projects/{project_id}/")
        await asyncio.sleep(2)  # some looks at a project that is gone
        assert len(await judgements(stage)) == 2


async def test_the_bell_brings_a_judgement_long_before_the_next_look(
    stage: Stage, label_studio: LabelStudioServer, people: People
):
    batch_id, port = await answered_batch(stage, 1, CHATS[:3]), free_port()
    bell = f"http://127.0.0.1:{port}/label-studio"
    more = {"VBATCH_LABELER_PORT": str(port), "VBATCH_LABELER_BELL_URL": bell, "VBATCH_LABELER_PULL_SECONDS": "3600"}
    async with labeler(stage, label_studio, **more):
        done = await pushed(stage, await push(stage, batch_id))
        [task, *_] = await people.tasks(done["project_id"])
        await people.annotate(task["id"], verdict="good")
        assert [each["line"] for each in await judged(stage, 1)] == [task["data"]["line"]]
        async with people.http.post(bell, headers={"X-Vbatch-Secret": "wrong"}) as response:
            assert response.status == 403


@pytest.mark.parametrize("failpoint", [Failpoint.PROJECT_CREATED, Failpoint.TASKS_IMPORTED])
async def test_a_labeler_that_is_killed_while_it_pushes_leaves_each_task_once(
    stage: Stage, label_studio: LabelStudioServer, people: People, tmp_path: Path, failpoint: Failpoint
):
    batch_id = await answered_batch(stage, 1, CHATS)
    folder = tmp_path / "failpoints"
    arm(folder, failpoint)
    before = (await people.ask("GET", "/api/projects/?page_size=1000"))["count"]
    async with labeler(stage, label_studio, **{FOLDER_VARIABLE: str(folder)}) as process:
        labeling = await push(stage, batch_id)
        await dead(process)
    async with labeler(stage, label_studio):
        done = await pushed(stage, labeling)
    keys = [task["data"]["vb_key"] for task in await people.tasks(done["project_id"])]
    assert sorted(keys) == sorted(f"{labeling['id']}:{place}" for place in range(len(CHATS)))
    assert (await people.ask("GET", "/api/projects/?page_size=1000"))["count"] == before + 1


async def test_a_labeler_that_is_killed_before_it_records_a_judgement_records_it_once(
    stage: Stage, label_studio: LabelStudioServer, people: People, tmp_path: Path
):
    batch_id = await answered_batch(stage, 1, CHATS[:20])
    async with labeler(stage, label_studio):
        done = await pushed(stage, await push(stage, batch_id))
    tasks = await people.tasks(done["project_id"])
    for task in tasks[:10]:
        await people.annotate(task["id"], verdict="good")
    folder = tmp_path / "failpoints"
    for _ in range(3):
        arm(folder, Failpoint.JUDGEMENT_FETCHED)
        async with labeler(stage, label_studio, **{FOLDER_VARIABLE: str(folder)}) as process:
            await dead(process)
    async with labeler(stage, label_studio):
        found = await judged(stage, 10)
    assert sorted(each["line"] for each in found) == sorted(task["data"]["line"] for task in tasks[:10])


async def test_a_label_studio_that_is_stopped_is_waited_for(
    stage: Stage, label_studio: LabelStudioServer, people: People
):
    batch_id = await answered_batch(stage, 1, CHATS[:10])
    label_studio.stop()
    try:
        async with labeler(stage, label_studio):
            labeling = await push(stage, batch_id)
            assert labeling["status"] == "waiting"
            label_studio.start()
            await label_studio.is_ready()
            done = await pushed(stage, labeling)
            tasks = await people.tasks(done["project_id"])
            await people.annotate(tasks[0]["id"], verdict="good")
            await judged(stage, 1)
    finally:
        label_studio.stop()
        label_studio.start()
        await label_studio.is_ready()


async def test_two_answers_to_a_prompt_are_compared(stage: Stage, label_studio: LabelStudioServer, people: People):
    one = await answered_batch(stage, 1, CHATS[:6])
    other = await answered_batch(stage, 2, [(question, f"It is {answer}.") for question, answer in CHATS[:6]])
    async with labeler(stage, label_studio):
        done = await pushed(stage, await push(stage, one, other))
        assert (done["template"], done["item_count"]) == ("pairwise", 6)
        [task, *_] = await people.tasks(done["project_id"])
        assert (task["data"].get("model", ""), task["predictions"]) == ("", [])
        await people.annotate(task["id"], vote="b")
        [vote] = await judged(stage, 1)
        assert (vote["vote"], {vote["batch_id"], vote["other_batch_id"]}) == ("b", {one, other})
        assert (vote["batch_id"], vote["line"]) == (task["data"]["batch_id"], task["data"]["line"])


async def test_a_personal_access_token_opens_label_studio_too(
    stage: Stage, label_studio: LabelStudioServer, people: People
):
    token = (await people.ask("POST", "/api/token/", {}))["token"]
    batch_id = await answered_batch(stage, 1, CHATS[:3])
    async with labeler(stage, label_studio, VBATCH_LABELER_LABEL_STUDIO_TOKEN=token):
        assert (await pushed(stage, await push(stage, batch_id)))["pushed_count"] == 3


async def test_a_project_that_people_made_is_extended(stage: Stage, label_studio: LabelStudioServer, people: People):
    batch_id = await answered_batch(stage, 1, CHATS[:4])
    async with labeler(stage, label_studio):
        first = await pushed(stage, await push(stage, batch_id, sample=2, seed=1))
        second = await pushed(stage, await push(stage, batch_id, sample=2, seed=2, project_id=first["project_id"]))
        assert second["project_id"] == first["project_id"]
        assert len(await people.tasks(first["project_id"])) == 4


async def test_a_project_that_is_not_there_is_said_so(stage: Stage, label_studio: LabelStudioServer):
    batch_id = await answered_batch(stage, 1, CHATS[:2])
    async with labeler(stage, label_studio):
        labeling = await push(stage, batch_id, project_id=999_999)

        async def is_failed() -> bool:
            found = (await stage.ask("GET", f"/v1/labelings/{labeling['id']}")).json
            return bool(found["status"] == "failed" and found["failure"])

        await until(is_failed)
