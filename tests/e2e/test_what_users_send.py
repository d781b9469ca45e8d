"""The whole stack: what users send is understood or told by line, what they delete is gone, and all is private."""

from __future__ import annotations

import gzip
import json
import socket
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.support.paths import paths_below
from tests.support.stack import RunningStack, wait_until

FORMS = ("", "?after_line=0", "?limit=5", "?after_byte=0", "?follow=true")
GONE_SECONDS_MAX = 20.0


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_answers_of_a_deleted_output_file_are_served_by_nobody_and_leave_the_disk(stack: RunningStack, client: OpenAI):
    done = ended(client, submit(client, jsonl(chat_line(number) for number in range(20))).id)
    [growing] = _growing_answers(stack.home, done.batch.id)
    assert b"[simulated]" in growing.read_bytes()
    client.files.delete(done.batch.output_file_id or "")
    for form in FORMS:
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            client.get(f"/batches/{done.batch.id}/results{form}", cast_to=object)
    wait_until(lambda: not _growing_answers(stack.home, done.batch.id), "the answers are gone", GONE_SECONDS_MAX)


def _growing_answers(home: Path, batch_id: str) -> list[Path]:
    """Wherever an earlier rebuild has put them."""
    return [path for path in paths_below(home / "results") if path.name == f"{batch_id}.jsonl"]


def test_a_line_with_half_an_emoji_is_answered(client: OpenAI):
    content = jsonl([chat_line(1), chat_line(2, prompt="Say CUT {number}")]).replace(b"CUT", b"\\ud83d")
    done = ended(client, submit(client, content).id)
    assert done.custom_ids == ["request-1", "request-2"]
    assert "\ufffd" in json.dumps(done.output[1], ensure_ascii=False)


def test_what_is_no_json_is_told_with_its_cause_and_its_column(client: OpenAI):
    content = jsonl([chat_line(1)]) + b'{"custom_id": "b", "temperature": NaN}\n'
    batch = ended(client, submit(client, content).id).batch
    assert batch.status == "failed" and batch.errors is not None and batch.errors.data is not None
    [fault] = batch.errors.data
    assert (fault.code, fault.line) == ("invalid_json_line", 2)
    assert str(fault.message).endswith("At column 35: NaN is not JSON; write null or a number.")


def test_a_picture_on_another_host_is_a_fault_of_its_line_and_nobody_is_asked(client: OpenAI, listener: socket.socket):
    line = chat_line(1)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/picture.png"
    line["body"]["messages"] = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    batch = ended(client, submit(client, jsonl([line])).id).batch
    assert batch.status == "failed" and batch.errors is not None and batch.errors.data is not None
    assert [(fault.line, fault.param) for fault in batch.errors.data] == [(1, "body.messages")]
    assert url in str(batch.errors.data[0].message)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_an_upload_may_be_compressed(stack: RunningStack, client: OpenAI):
    content = jsonl(chat_line(number) for number in range(50))
    form = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n' + content + b"\r\n--b--\r\n"
    )
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=b"}
    ask = urllib.request.Request(f"{client.base_url}files", data=gzip.compress(form), headers=headers)
    with urllib.request.urlopen(ask, timeout=20) as answer:
        file_id = json.load(answer)["id"]
    assert client.files.content(file_id).content == content


def test_nobody_else_on_this_machine_can_read_what_is_kept(stack: RunningStack, client: OpenAI):
    ended(client, submit(client, jsonl([chat_line(1)])).id)
    assert _open_to_others(stack.home) == []


def _open_to_others(home: Path) -> list[str]:
    """Of the folders in which services keep things, and what lies in them; the home of a test is made by the test."""
    kept = [home / name for name in ("results", "blobs", "logs", "secrets", "run", "nats")]
    paths = [path for folder in kept for path in (folder, *folder.iterdir()) if not path.is_symlink()]
    return [f"{path.relative_to(home)} {stat.S_IMODE(path.stat().st_mode):o}" for path in paths if _is_open(path)]


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)
