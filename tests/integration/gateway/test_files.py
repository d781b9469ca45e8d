"""Files through the official client, on a real log, a real read model and a real folder."""

import asyncio
from datetime import timedelta

import msgspec
import openai
import pytest

from tests.integration.gateway.stage import LINE, Stage
from tests.integration.results.stage import eventually
from tests.support.events import FILE_STORED, NOON

pytestmark = pytest.mark.integration


async def test_an_uploaded_file_is_answered_processed_and_expires_in_thirty_days(stage: Stage):
    file = await stage.client.files.create(file=("größe.jsonl", LINE), purpose="batch")

    assert (file.filename, file.bytes, file.purpose, file.status) == ("größe.jsonl", len(LINE), "batch", "processed")
    assert file.expires_at == file.created_at + 2_592_000


async def test_an_uploaded_file_can_be_read_at_once(stage: Stage):
    file = await stage.client.files.create(file=LINE, purpose="batch")

    assert await stage.client.files.retrieve(file.id) == file
    assert (await stage.client.files.content(file.id)).content == LINE


async def test_files_are_listed_newest_first_in_pages(stage: Stage):
    made = [(await stage.client.files.create(file=LINE, purpose="batch")).id for _ in range(5)]

    assert [file.id async for file in stage.client.files.list(limit=2)] == made[::-1]
    assert [file.id async for file in stage.client.files.list(limit=2, order="asc")] == made
    page = await stage.client.files.list(limit=2)
    assert page.has_more


async def test_files_are_listed_by_purpose(stage: Stage):
    await stage.client.files.create(file=LINE, purpose="batch")
    other = await stage.client.files.create(file=b"any bytes", purpose="user_data")

    assert [file.id async for file in stage.client.files.list(purpose="user_data")] == [other.id]
    assert other.expires_at is None


async def test_a_deleted_file_is_gone_with_its_bytes(stage: Stage):
    file = await stage.client.files.create(file=LINE, purpose="batch")

    assert (await stage.client.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await stage.client.files.retrieve(file.id)
    with pytest.raises(openai.NotFoundError):
        await stage.client.files.delete(file.id)
    assert stage.stored_blobs() == []


async def test_the_bytes_of_a_deleted_file_stay_while_a_batch_reads_them(stage: Stage):
    file = await stage.client.files.create(file=LINE, purpose="batch")
    await stage.client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")

    await stage.client.files.delete(file.id)
    assert [path.name for path in stage.stored_blobs()] == [file.id]


async def test_an_expired_file_is_gone(stage: Stage):
    expired = msgspec.structs.replace(FILE_STORED, expires_at=NOON - timedelta(days=10_000))
    await stage.tell(expired)

    with pytest.raises(openai.NotFoundError):
        await stage.client.files.retrieve(expired.file_id)
    assert [file.id async for file in stage.client.files.list()] == []


async def test_the_parts_of_a_form_may_come_in_any_order(stage: Stage):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n' + LINE + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="expires_after[seconds]"\r\n\r\n3600\r\n'
        b'--b\r\nContent-Disposition: form-data; name="expires_after[anchor]"\r\n\r\ncreated_at\r\n'
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = await stage.ask("POST", "/v1/files", data=body, headers=headers)

    assert answer.status == 200
    assert answer.json["expires_at"] == answer.json["created_at"] + 3600
    assert list(answer.json) == [
        "object", "id", "purpose", "filename", "bytes", "created_at", "expires_at", "status", "status_details",
    ]  # fmt: skip


async def test_a_file_too_large_for_a_batch_is_refused_and_nothing_is_kept(stage: Stage):
    content = LINE * (209_715_200 // len(LINE) + 1)
    with pytest.raises(openai.BadRequestError) as refused:
        await stage.client.files.create(file=content, purpose="batch")

    assert refused.value.body["message"] == "File is too large."  # type: ignore[index]  # the envelope, a dict
    assert stage.stored_blobs() == []


@pytest.mark.parametrize("content", [b"", b" \n\n", b"[1]\n", b"custom_id,method\n"])
async def test_a_batch_file_is_judged_by_its_content(stage: Stage, content: bytes):
    with pytest.raises(openai.BadRequestError) as refused:
        await stage.client.files.create(file=("in.jsonl", content), purpose="batch")

    assert refused.value.body["message"] == "Invalid file format for Batch API. Must be .jsonl"  # type: ignore[index]
    assert stage.stored_blobs() == []


async def test_an_unknown_purpose_is_refused(stage: Stage):
    with pytest.raises(openai.BadRequestError) as refused:
        await stage.client.files.create(file=LINE, purpose="world_domination")  # type: ignore[arg-type]  # on purpose

    assert refused.value.param == "purpose"
    assert stage.stored_blobs() == []


async def test_files_of_other_purposes_cannot_be_downloaded(stage: Stage):
    file = await stage.client.files.create(file=b"any bytes", purpose="user_data")
    with pytest.raises(openai.BadRequestError) as refused:
        await stage.client.files.content(file.id)

    assert refused.value.body["message"] == "Not allowed to download files of purpose: user_data"  # type: ignore[index]


async def test_a_dropped_upload_leaves_nothing(stage: Stage):
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n'
    request = b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    host, port = stage.origin.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(request + b"Content-Length: 50000000\r\n\r\n" + head + LINE * 60_000)
    await writer.drain()
    await eventually(lambda: _async(bool(stage.stored_blobs())))
    writer.transport.abort()

    await eventually(lambda: _async(stage.stored_blobs() == []))
    assert await stage.journal.log.last("evt.file.>") is None


async def test_one_range_of_a_file_can_be_read(stage: Stage):
    file = await stage.client.files.create(file=LINE, purpose="batch")
    answer = await stage.ask("GET", f"/v1/files/{file.id}/content", headers={"Range": "bytes=2-10"})

    assert (answer.status, answer.body) == (206, LINE[2:11])
    assert answer.headers["Content-Range"] == f"bytes 2-10/{len(LINE)}"
    beyond = await stage.ask("GET", f"/v1/files/{file.id}/content", headers={"Range": "bytes=5000-"})
    assert beyond.status == 416 and beyond.error["message"]
    assert beyond.headers["Content-Range"] == f"bytes */{len(LINE)}"


async def test_an_upload_is_answered_from_its_event_when_nobody_projects(lonely_stage: Stage):
    file = await lonely_stage.client.files.create(file=LINE, purpose="batch")
    assert file.bytes == len(LINE)


async def _async(value: bool) -> bool:
    return value
