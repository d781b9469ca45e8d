"""What every generation of the official client must get from this server. Run by each one's own Python; needs nothing
but `openai`. The URL and a folder for files come as arguments, one line of JSON for each case goes to stdout.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import time
import traceback
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai

CHAT = "simulated-chat"
SLOW = "simulated-slow"
ENDPOINT: Any = "/v1/chat/completions"
END_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
ENDED = {"completed", "failed", "expired", "cancelled"}
BATCH_KEYS = [
    "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window", "status", "output_file_id",
    "error_file_id", "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at",
    "expired_at", "cancelling_at", "cancelled_at", "request_counts", "usage", "metadata",
]  # fmt: skip
FILE_KEYS = ["object", "id", "purpose", "filename", "bytes", "created_at", "expires_at", "status", "status_details"]


class Cases:
    """Each method is a case of its own; `client` is strict about every answer."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.client: Any = openai.OpenAI(base_url=f"{url}/v1", api_key="none", _strict_response_validation=True)

    def files_come_in_every_form_a_client_sends(self) -> None:
        path = self.folder / "größe in.jsonl"
        path.write_bytes(lines(1))
        forms = {"bytes": lines(1), "BytesIO": io.BytesIO(lines(1)), "Path": path, "tuple": ("x.jsonl", lines(1))}
        names = {form: self._upload(content).filename for form, content in forms.items()}
        assert names == {"bytes": "upload", "BytesIO": "upload", "Path": path.name, "tuple": "x.jsonl"}, names
        with path.open("rb") as opened:
            assert self._upload(opened).filename == path.name

    def a_file_has_openais_keys_and_is_processed_at_once(self) -> None:
        made = self._upload(lines(1))
        raw = self._raw("GET", f"/v1/files/{made.id}")
        assert list(raw) == FILE_KEYS, list(raw)
        assert (made.status, made.purpose, made.bytes) == ("processed", "batch", len(lines(1)))
        assert made.expires_at == made.created_at + 2_592_000
        assert self.client.files.wait_for_processing(made.id).id == made.id

    def a_files_content_comes_back_to_the_byte(self) -> None:
        made = self._upload(lines(3))
        assert self.client.files.content(made.id).content == lines(3)
        streamed = self.folder / "streamed"
        self.client.files.content(made.id).write_to_file(streamed)
        assert streamed.read_bytes() == lines(3)
        assert self.client.files.retrieve_content(made.id) == lines(3).decode()

    def files_are_listed_in_pages_of_any_size_and_either_order(self) -> None:
        made = [self._upload(f"page {n}".encode(), "user_data").id for n in range(5)]
        mine = [it.id for it in self.client.files.list(purpose="user_data", limit=2) if it.id in made]
        assert mine == made[::-1], mine
        assert [it.id for it in self.client.files.list(limit=3, order="asc") if it.id in made] == made

    def a_deleted_file_is_gone(self) -> None:
        made = self._upload(lines(1))
        assert self.client.files.delete(made.id).deleted is True
        with refused(openai.NotFoundError, param="id", message=f"No such File object: {made.id}"):
            self.client.files.delete(made.id)
        with refused(openai.NotFoundError, param="id"):
            self.client.files.content(made.id)

    def what_is_no_batch_file_is_refused(self) -> None:
        for content in (b"", b"hello", b"[]"):
            with refused(openai.BadRequestError, message="Invalid file format for Batch API. Must be .jsonl"):
                self._upload(content)
        with refused(openai.BadRequestError, param="purpose"):
            self._upload(lines(1), "world_domination")
        private = self._upload(b"x", "user_data")
        with refused(openai.BadRequestError, message="Not allowed to download files of purpose: user_data"):
            self.client.files.content(private.id)

    def an_upload_in_parts_makes_a_file(self) -> None:
        whole = lines(9)
        upload = self._begin(len(whole))
        assert (upload.status, upload.expires_at - upload.created_at) == ("pending", 3600)
        middle = len(whole) // 2
        second = self.client.uploads.parts.create(upload.id, data=whole[middle:])
        first = self.client.uploads.parts.create(upload_id=upload.id, data=io.BytesIO(whole[:middle]))
        assert (first.object, first.upload_id) == ("upload.part", upload.id)
        done = self.client.uploads.complete(upload.id, part_ids=[first.id, second.id])
        assert (done.status, done.file.bytes, done.file.purpose) == ("completed", len(whole), "batch")
        assert self.client.files.content(done.file.id).content == whole

    def the_clients_own_chunked_upload_works(self) -> None:
        path = self.folder / "chunked.jsonl"
        path.write_bytes(lines(40))
        ask = {"file": path, "mime_type": "text/jsonl", "purpose": "batch", "part_size": 1_000}
        done = self.client.uploads.upload_file_chunked(**ask)
        assert self.client.files.content(done.file.id).content == lines(40)

    def an_upload_can_be_cancelled(self) -> None:
        upload = self._begin(5)
        assert self.client.uploads.cancel(upload.id).status == "cancelled"
        with refused(openai.BadRequestError):
            self.client.uploads.parts.create(upload.id, data=b"hello")
        with refused(openai.NotFoundError):
            self.client.uploads.cancel("upload_" + "0" * 32)

    def a_batch_runs_to_its_end(self) -> None:
        batch = self._create(lines(20), metadata={"project": "conformance"})
        assert (batch.status, batch.model, batch.errors) == ("validating", None, None)
        assert batch.expires_at == batch.created_at + 86_400
        assert batch.request_counts.total == 0
        done = self._ended(batch.id)
        assert (done.status, done.error_file_id) == ("completed", None)
        assert (done.request_counts.completed, done.request_counts.total) == (20, 20)
        assert done.metadata == {"project": "conformance"}
        answers = [json.loads(line) for line in self.client.files.content(done.output_file_id).iter_lines()]
        assert [it["custom_id"] for it in answers] == [f"request-{n}" for n in range(20)]
        assert {it["response"]["status_code"] for it in answers} == {200}
        assert self.client.files.retrieve(done.output_file_id).purpose == "batch_output"
        raw = self._raw("GET", f"/v1/batches/{batch.id}")
        assert list(raw) == BATCH_KEYS, list(raw)
        assert raw["usage"]["total_tokens"] > 0 and raw["model"] == CHAT

    def failed_requests_stand_in_the_error_file(self) -> None:
        batch = self._ended(self._create(lines(2, simulate={"status": 400})).id)
        assert (batch.status, batch.output_file_id, batch.request_counts.failed) == ("completed", None, 2)
        for line in self.client.files.content(batch.error_file_id).text.splitlines():
            answer = json.loads(line)
            assert answer["error"] is None and answer["response"]["status_code"] == 400
            assert "message" in answer["response"]["body"]["error"]

    def a_bad_file_fails_the_batch_with_the_line(self) -> None:
        batch = self._ended(self._create(lines(1) + b"{no\n").id)
        [fault] = batch.errors.data
        assert (batch.status, fault.line, fault.code) == ("failed", 2, "invalid_json_line")
        missing = self.client.batches.create(input_file_id="file-x", endpoint=ENDPOINT, completion_window="24h")
        assert self._ended(missing.id).errors.data[0].param == "file_id"

    def a_cancelled_batch_ends_and_a_completed_one_refuses(self) -> None:
        batch = self._create(lines(2_000, model=SLOW))
        first = self.client.batches.cancel(batch.id)
        assert first.status == "cancelling" and first.cancelling_at
        assert self.client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
        assert self._ended(batch.id).status == "cancelled"
        done = self._ended(self._create(lines(1)).id)
        began = time.monotonic()
        with refused(openai.ConflictError, message="Cannot cancel a batch with status 'completed'."):
            self.client.batches.cancel(done.id)
        assert time.monotonic() - began < 0.4, "the client sent the 409 again"

    def batches_are_listed_newest_first_in_pages(self) -> None:
        made = [self._create(lines(1)).id for _ in range(3)]
        found = [it.id for it in self.client.batches.list(limit=1, extra_query={"metadata": {"no": "such"}})]
        assert found == []
        listed = []
        for batch in self.client.batches.list(limit=2):
            listed.append(batch.id)
            if batch.id == made[0]:
                break
        assert [it for it in listed if it in made] == made[::-1]

    def a_batch_that_is_not_there_is_named(self) -> None:
        absent = "batch_" + "0" * 32
        with refused(openai.NotFoundError, message=f"No batch found with id '{absent}'."):
            self.client.batches.retrieve(absent)
        with refused(openai.BadRequestError, param="batch_id", code="invalid_value"):
            self.client.batches.retrieve("nope")

    def a_malformed_create_is_refused(self) -> None:
        good = {"input_file_id": "file-x", "endpoint": ENDPOINT, "completion_window": "24h"}
        bad: list[tuple[dict[str, Any], str, str]] = [
            ({"endpoint": "/v1/nope"}, "endpoint", "invalid_value"),
            ({"completion_window": "soon"}, "completion_window", "invalid_value"),
            ({"metadata": {"tags": ["a"]}}, "metadata.tags", "invalid_type"),
            ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", "object_above_max_properties"),
            ({"extra_body": {"speed": 1}}, "speed", "unknown_parameter"),
            ({"extra_body": {"input_file_id": None}}, "input_file_id", "missing_required_parameter"),
        ]
        for change, param, code in bad:
            with refused(openai.BadRequestError, param=param, code=code):
                self.client.batches.create(**{**good, **change})
        with refused(openai.BadRequestError, param="limit", code="integer_above_max_value"):
            self.client.batches.list(limit=101)

    def models_are_listed_found_and_never_deleted(self) -> None:
        assert CHAT in [model.id for model in self.client.models.list()]
        assert self.client.models.retrieve(CHAT).id == CHAT
        with refused(openai.NotFoundError, param="model", code="model_not_found"):
            self.client.models.retrieve("org/absent:v1")
        with refused(openai.PermissionDeniedError, param="model"):
            self.client.models.delete(CHAT)

    def online_inference_is_refused_in_the_envelope(self) -> None:
        with refused(openai.NotFoundError, code="unknown_url"):
            self.client.chat.completions.create(model=CHAT, messages=[{"role": "user", "content": "hi"}])

    def every_answer_has_a_request_id(self) -> None:
        assert self.client.models.list()._request_id.startswith("req_")
        try:
            self.client.files.retrieve("file-x")
        except openai.NotFoundError as error:
            assert error.request_id and error.request_id.startswith("req_")

    def answers_are_followed_while_the_batch_runs(self) -> None:
        batch = self._create(lines(30, model=SLOW))
        with urllib.request.urlopen(f"{self.url}/v1/batches/{batch.id}/results?follow=true") as answer:
            found = [json.loads(line)["custom_id"] for line in answer]
        assert sorted(found) == sorted(f"request-{n}" for n in range(30))
        with urllib.request.urlopen(f"{self.url}/v1/batches/{batch.id}/events") as events:
            assert b"event: batch.completed" in events.read()

    async def the_async_client_does_the_same(self) -> None:
        options: dict[str, Any] = {"api_key": "none", "_strict_response_validation": True}
        async with openai.AsyncOpenAI(base_url=f"{self.url}/v1", **options) as client:
            made = await client.files.create(file=("in.jsonl", lines(2)), purpose="batch")
            batch = await client.batches.create(input_file_id=made.id, endpoint=ENDPOINT, completion_window="24h")
            assert (await client.batches.retrieve(batch.id)).id == batch.id
            assert batch.id in [it.id async for it in client.batches.list(limit=100)]

    def _upload(self, content: object, purpose: str = "batch") -> Any:
        return self.client.files.create(file=content, purpose=purpose)

    def _begin(self, size: int) -> Any:
        return self.client.uploads.create(bytes=size, filename="in.jsonl", mime_type="text/jsonl", purpose="batch")

    def _create(self, content: bytes, **more: Any) -> Any:
        file_id = self._upload(("in.jsonl", content)).id
        return self.client.batches.create(input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h", **more)

    def _ended(self, batch_id: str) -> Any:
        deadline = time.monotonic() + END_SECONDS_MAX
        while (batch := self.client.batches.retrieve(batch_id)).status not in ENDED:
            assert time.monotonic() < deadline, f"{batch_id} is still {batch.status}"
            time.sleep(POLL_SECONDS)
        return batch

    def _raw(self, method: str, path: str) -> Any:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)) as answer:
            return json.load(answer)


def lines(count: int, model: str = CHAT, **more: Any) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": "Grüße\u2028"}], **more}
    asks = [{"custom_id": f"request-{n}", "method": "POST", "url": ENDPOINT, "body": body} for n in range(count)]
    return b"".join(json.dumps(ask).encode() + b"\n" for ask in asks)


@contextmanager
def refused(kind: type[openai.APIStatusError], **expected: str) -> Iterator[None]:
    """The block ends in this error; str(error) differs between generations, so only its parts are compared."""
    try:
        yield
    except kind as error:
        body = error.body if isinstance(error.body, dict) else {}
        found = {"param": error.param, "code": error.code, "message": body.get("message")}
        assert {name: found[name] for name in expected} == expected, found
        assert set(body) == {"message", "type", "param", "code"}, body
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def run(cases: Cases, name: str) -> str | None:
    """What went wrong in one case; None when nothing did."""
    try:
        done = getattr(cases, name)()
        if done is not None:
            asyncio.run(done)
    except Exception:  # noqa: BLE001  # whatever a client raises is told by the test that started this script
        return traceback.format_exc(limit=-4)
    return None


def main(url: str, folder: str) -> None:
    cases = Cases(url, Path(folder))
    for name in [name for name in vars(Cases) if not name.startswith("_")]:
        sys.stdout.write(json.dumps({"case": name, "fault": run(cases, name)}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
