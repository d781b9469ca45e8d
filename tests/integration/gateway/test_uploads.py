"""Uploads in parts: through the official client, by several gateways, against what a client or a crash can do wrong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from tests.integration.gateway.stage import LINE, Stage, gateway_running
from tests.integration.results.stage import Place
from vbatch.chassis.blobs import open_blobs
from vbatch.contracts import events as e
from vbatch.contracts.ids import OwnerId, new_upload_id
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.api_keys import NO_KEYS, read_key_file
from vbatch.gateway.flows.stray_sweep import STRAYS_MAX, StraySweep
from vbatch.gateway.flows.upload_sweep import UploadSweep
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

PARTS = (LINE * 50, LINE * 30, LINE * 20)
WHOLE = b"".join(PARTS)
PENDING_KEYS = ["id", "object", "bytes", "created_at", "filename", "purpose", "status", "expires_at"]


async def begin(client: AsyncOpenAI, size: int = len(WHOLE), **more: Any) -> str:
    asked: dict[str, Any] = {"bytes": size, "filename": "in.jsonl", "mime_type": "text/jsonl", "purpose": "batch"}
    asked |= more
    return (await client.uploads.create(**asked)).id


async def add(client: AsyncOpenAI, upload_id: str, *parts: bytes) -> list[str]:
    return [(await client.uploads.parts.create(upload_id, data=part)).id for part in parts]


async def test_parts_become_one_file_in_the_order_asked_for(stage: Stage):
    upload_id = await begin(stage.client)
    last, first, middle = await add(stage.client, upload_id, PARTS[2], PARTS[0], PARTS[1])
    md5 = hashlib.md5(WHOLE).hexdigest()
    done = await stage.client.uploads.complete(upload_id, part_ids=[first, middle, last], md5=md5)

    assert (done.status, done.file and done.file.bytes) == ("completed", len(WHOLE))
    assert done.file and (await stage.client.files.content(done.file.id)).content == WHOLE
    assert done.file.purpose == "batch" and done.file.id in [file.id async for file in stage.client.files.list()]


async def test_the_wire_objects_are_openais(stage: Stage):
    asked = {"bytes": len(WHOLE), "filename": "in.jsonl", "mime_type": "text/jsonl", "purpose": "batch"}
    upload = (await stage.ask("POST", "/v1/uploads", json=asked)).json
    form = aiohttp.FormData()
    form.add_field("data", WHOLE, filename="upload")
    part = (await stage.ask("POST", f"/v1/uploads/{upload['id']}/parts", data=form)).json
    done = (await stage.ask("POST", f"/v1/uploads/{upload['id']}/complete", json={"part_ids": [part["id"]]})).json

    assert list(upload) == PENDING_KEYS and upload["status"] == "pending"
    assert upload["expires_at"] - upload["created_at"] == 3600
    assert list(part) == ["id", "object", "created_at", "upload_id"] and part["object"] == "upload.part"
    assert list(done) == [*PENDING_KEYS, "file"] and done["file"]["object"] == "file"
    assert done["file"]["expires_at"] - done["file"]["created_at"] == 2_592_000


async def test_a_cancelled_upload_takes_nothing_more_and_can_be_cancelled_again(stage: Stage):
    upload_id = await begin(stage.client)
    [part] = await add(stage.client, upload_id, WHOLE)
    assert [(await stage.client.uploads.cancel(upload_id)).status for _ in range(2)] == ["cancelled"] * 2
    with pytest.raises(BadRequestError, match="'cancelled'"):
        await add(stage.client, upload_id, WHOLE)
    with pytest.raises(BadRequestError, match="'cancelled'"):
        await stage.client.uploads.complete(upload_id, part_ids=[part])


async def test_a_completion_sent_twice_is_answered_twice_with_one_file(stage: Stage):
    upload_id = await begin(stage.client)
    parts = await add(stage.client, upload_id, *PARTS)
    together = await asyncio.gather(*(stage.client.uploads.complete(upload_id, part_ids=parts) for _ in range(4)))
    again = await stage.client.uploads.complete(upload_id, part_ids=parts)

    assert len({done.file.id for done in [*together, again] if done.file}) == 1
    assert len([path for path in stage.stored_blobs() if "files" in path.parts]) == 1
    with pytest.raises(BadRequestError, match="'completed'"):
        await stage.client.uploads.complete(upload_id, part_ids=parts[:1])
    with pytest.raises(BadRequestError, match="'completed'"):
        await stage.client.uploads.cancel(upload_id)


async def test_parts_may_come_side_by_side(stage: Stage):
    upload_id = await begin(stage.client, size=20 * len(LINE))
    added = await asyncio.gather(*(add(stage.client, upload_id, LINE) for _ in range(20)))
    done = await stage.client.uploads.complete(upload_id, part_ids=[part for [part] in added])

    assert done.file and done.file.bytes == 20 * len(LINE)


async def test_an_upload_is_finished_by_another_gateway(stage: Stage):
    upload_id = await begin(stage.client)
    parts = await add(stage.client, upload_id, *PARTS[:1])
    async with gateway_running(stage.place, stage.journal) as other:
        parts += await add(other.client, upload_id, *PARTS[1:])
        done = await other.client.uploads.complete(upload_id, part_ids=parts)

    assert done.file and (await stage.client.files.content(done.file.id)).content == WHOLE


async def test_parts_that_do_not_make_the_file_are_refused_and_can_be_put_right(stage: Stage):
    upload_id = await begin(stage.client)
    first, second, third = await add(stage.client, upload_id, *PARTS)
    before = stage.stored_blobs()
    unfit: list[tuple[dict[str, Any], str]] = [
        ({"part_ids": [first, second]}, "created for"),
        ({"part_ids": [first, second, third, "part_" + "0" * 32]}, "No such UploadPart"),
        ({"part_ids": [first, first, third]}, "only once"),
        ({"part_ids": []}, "at least one"),
        ({"part_ids": [first, second, third], "md5": "0" * 32}, "md5 of the parts"),
        ({"part_ids": [first, second, third], "md5": "nonsense"}, "hexadecimal"),
    ]
    for ask, words in unfit:
        with pytest.raises(BadRequestError, match=words):
            await stage.client.uploads.complete(upload_id, **ask)

    assert stage.stored_blobs() == before
    assert (await stage.client.uploads.complete(upload_id, part_ids=[first, second, third])).status == "completed"


async def test_a_batch_file_in_parts_is_judged_by_its_content(stage: Stage):
    upload_id = await begin(stage.client, size=5)
    parts = await add(stage.client, upload_id, b"hello")
    with pytest.raises(BadRequestError, match="Invalid file format"):
        await stage.client.uploads.complete(upload_id, part_ids=parts)


async def test_an_upload_that_cannot_be_meant_is_not_begun(stage: Stage):
    asked = {"bytes": 0, "filename": "in.jsonl", "mime_type": "text/jsonl", "purpose": "batch"}
    answer = await stage.ask("POST", "/v1/uploads", json=asked)

    assert (answer.status, answer.error["param"]) == (400, "bytes")


async def test_a_part_too_large_is_refused_and_nothing_of_it_is_kept(stage: Stage):
    upload_id = await begin(stage.client, size=2**30, purpose="user_data")
    before = stage.stored_blobs()
    with pytest.raises(BadRequestError, match="File is too large"):
        await add(stage.client, upload_id, bytes(64 * 2**20 + 1))

    assert stage.stored_blobs() == before


async def test_an_unknown_upload_is_not_found(stage: Stage):
    for upload_id in ("upload_" + "0" * 32, "upload_x", "a%00b"):
        answer = await stage.ask("POST", f"/v1/uploads/{upload_id}/cancel")
        assert (answer.status, answer.error["param"]) == (404, "upload_id")


async def test_owners_do_not_see_each_others_uploads(place: Place, journal: Journal):
    digests = [hashlib.sha256(key.encode()).hexdigest() for key in ("one", "two")]
    keys = read_key_file(f"first {digests[0]}\nsecond {digests[1]}\n")
    async with gateway_running(place, journal, keys=keys, own_write_seconds_max=0.1) as stage:
        first, second = (stage.client.with_options(api_key=key) for key in ("one", "two"))
        upload_id = await begin(first)
        with pytest.raises(NotFoundError):
            await second.uploads.cancel(upload_id)


async def test_an_expired_upload_takes_nothing_more(stage: Stage):
    event = created(begun=datetime.now(UTC) - timedelta(minutes=61))
    await stage.tell(event)
    with pytest.raises(BadRequestError, match="'expired'"):
        await add(stage.client, event.upload_id, WHOLE)


async def test_the_sweep_removes_the_parts_of_what_is_over_once(stage: Stage):
    kept, cancelled, completed = [await begin(stage.client) for _ in range(3)]
    parts = {upload_id: await add(stage.client, upload_id, *PARTS) for upload_id in (kept, cancelled, completed)}
    await stage.client.uploads.cancel(cancelled)
    await stage.client.uploads.complete(completed, part_ids=parts[completed])
    sweep = UploadSweep(world_of(stage))

    assert [await sweep.sweep(), await sweep.sweep(), await UploadSweep(world_of(stage)).sweep()] == [2, 0, 0]
    left = {path.name for path in stage.stored_blobs() if "parts" in path.parts}
    assert left == set(parts[kept])


async def test_the_sweep_removes_the_parts_of_the_expired_after_a_while(stage: Stage):
    now = datetime.now(UTC)
    event = created(begun=now - timedelta(minutes=130))
    part = e.UploadPartAdded(at=now, upload_id=event.upload_id, part_id="part_x", bytes=1, blob="parts/x")  # type: ignore[arg-type]  # an id of its own shape
    async with world_of(stage).blobs.writer("parts/x") as writer:
        await writer.write(b"x")
    await stage.tell(event, part, created(begun=now - timedelta(minutes=90), entropy=b"2" * 16))

    assert await UploadSweep(world_of(stage)).sweep() == 1
    assert [path for path in stage.stored_blobs() if "parts" in path.parts] == []


async def test_bytes_that_no_event_speaks_of_are_removed_after_a_while(stage: Stage):
    uploaded = await stage.client.files.create(file=LINE, purpose="batch")
    dependencies = world_of(stage)
    kept, young = f"files/{uploaded.id}", "files/file-young"
    for blob, hours in (
        (kept, 5),
        ("files/file-stray", 5),
        ("parts/part_stray", 5),
        (young, 0),
        ("parts/part_young", 0),
    ):
        if blob != kept:
            async with dependencies.blobs.writer(blob) as writer:
                await writer.write(b"x")
        age(stage, blob, hours)
    sweep = StraySweep(dependencies)

    assert [await sweep.sweep(), await sweep.sweep()] == [2, 0]
    assert await stage.client.files.content(uploaded.id)
    assert await dependencies.blobs.exists(young) and await dependencies.blobs.exists("parts/part_young")


async def test_a_log_that_knows_hardly_any_file_costs_none(stage: Stage):
    dependencies = world_of(stage)
    for number in range(STRAYS_MAX + 1):
        async with dependencies.blobs.writer(f"files/file-{number}") as writer:
            await writer.write(b"x")
        age(stage, f"files/file-{number}", hours=5)

    assert await StraySweep(dependencies).sweep() == 0


def age(stage: Stage, blob: str, hours: float) -> None:
    then = time.time() - hours * 3_600
    os.utime(stage.place.home / "blobs" / blob, (then, then))


def created(begun: datetime, entropy: bytes = b"1" * 16) -> e.UploadCreated:
    return e.UploadCreated(
        at=begun,
        upload_id=new_upload_id(entropy),
        owner=OwnerId("local"),
        bytes=len(WHOLE),
        filename="in.jsonl",
        mime_type="text/jsonl",
        purpose="batch",
        expires_at=begun + timedelta(hours=1),
    )


def world_of(stage: Stage) -> Dependencies:
    """What the sweep needs of it: the log, the blobs and the time."""
    return Dependencies(
        log=stage.journal.log,
        reads=None,  # type: ignore[arg-type]  # the sweep reads the log only
        projection=None,  # type: ignore[arg-type]  # and waits for nobody
        partial=open_blobs(stage.place.home.as_uri()),
        blobs=open_blobs((stage.place.home / "blobs").as_uri()),
        forecasts=None,  # type: ignore[arg-type]  # nothing is foretold of uploads
        disk_guard=None,  # type: ignore[arg-type]  # it only makes room
        access=Access(NO_KEYS, is_local=True),
        services=None,  # type: ignore[arg-type]  # it asks nobody
        input_lines=None,  # type: ignore[arg-type]  # and shows no line
        text_search=None,  # type: ignore[arg-type]  # and searches nothing
        now=lambda: datetime.now(UTC),
        entropy=lambda count: bytes(count),
        own_write_seconds_max=1.0,
    )
