"""What the services said of one batch, asked over the API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.gateway.stage import LINE, Stage, stage_set
from tests.integration.gateway.test_queue import KEYS
from tests.integration.results.stage import Place
from vbatch.gateway.core.api_keys import read_key_file
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration


async def batch_of(stage: Stage) -> str:
    uploaded = await stage.client.files.create(file=("in.jsonl", LINE), purpose="batch")
    batch = await stage.client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    return batch.id


def write(folder: Path, service: str, *lines: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps({"service": service, "level": "info"} | line) + "\n" for line in lines)
    (folder / f"{service}.log").write_text(text)


async def test_lines_of_all_services_about_a_batch_are_gathered(place: Place, journal: Journal):
    folder = place.home / "logs"
    write(folder, "scheduler")
    async with stage_set(place, journal) as stage:
        batch_id = await batch_of(stage)
        write(folder, "scheduler", {"time": "2030-01-01T00:00:02Z", "event": "event_appended", "batch_id": batch_id})
        write(folder, "gpu-runner", {"time": "2030-01-01T00:00:01Z", "event": "slice_taken", "batch_id": batch_id})
        answer = await stage.ask("GET", f"/v1/batches/{batch_id}/logs")
        one = await stage.ask("GET", f"/v1/batches/{batch_id}/logs?limit=1")
    assert [(line["service"], line["event"]) for line in answer.json["data"]] == [
        ("gpu-runner", "slice_taken"),
        ("scheduler", "event_appended"),
    ]
    assert answer.json["has_more"] is False
    assert [line["service"] for line in one.json["data"]] == ["scheduler"] and one.json["has_more"] is True


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
async def test_how_many_lines_is_bounded(place: Place, journal: Journal, limit: str):
    write(place.home / "logs", "scheduler")
    async with stage_set(place, journal) as stage:
        answer = await stage.ask("GET", f"/v1/batches/{await batch_of(stage)}/logs?limit={limit}")
    assert answer.status == 400 and answer.error["param"] == "limit"


@pytest.mark.parametrize("has_folder", [False, True])
async def test_where_services_keep_no_files_that_is_said(place: Place, journal: Journal, has_folder: bool):
    if has_folder:  # as in an image, whose programs write to Docker
        (place.home / "logs").mkdir(parents=True)
    async with stage_set(place, journal) as stage:
        answer = await stage.ask("GET", f"/v1/batches/{await batch_of(stage)}/logs")
    assert answer.status == 404 and answer.error["code"] == "logs_elsewhere"


async def test_a_batch_that_is_not_there_has_no_logs(place: Place, journal: Journal):
    write(place.home / "logs", "scheduler")
    async with stage_set(place, journal) as stage:
        answer = await stage.ask("GET", "/v1/batches/batch_0123456789abcdef0123456789abcdef/logs")
    assert answer.status == 404


async def test_owners_do_not_see_the_logs_of_each_other(place: Place, journal: Journal):
    write(place.home / "logs", "scheduler")
    async with stage_set(place, journal, keys=read_key_file(KEYS)) as stage:
        as_alice = stage.client.with_options(api_key="alice")
        uploaded = await as_alice.files.create(file=LINE, purpose="batch")
        batch = await as_alice.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        path = f"/v1/batches/{batch.id}/logs"
        statuses = [
            (await stage.ask("GET", path, headers={"authorization": f"Bearer {name}"})).status
            for name in ("alice", "bob")
        ]
    assert statuses == [200, 404]
