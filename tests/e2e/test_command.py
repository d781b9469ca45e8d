"""The `vbatch` command against the whole stack."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg

from tests.e2e.asking import chat_line, jsonl
from tests.support.stack import CHAT, RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ASKED = 50


@pytest.fixture
def input_file(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(chat_line(number) for number in range(ASKED)))
    return path


def test_a_file_is_submitted_watched_and_its_answers_fetched(stack: RunningStack, input_file: Path, tmp_path: Path):
    submitted = stack.vbatch("submit", str(input_file), "--watch")
    assert submitted.returncode == 0, submitted.stderr
    batch_id = submitted.stdout.split()[0]
    assert f"{ASKED} answered, 0 failed of {ASKED}" in submitted.stderr

    target = tmp_path / "out.jsonl"
    fetched = stack.vbatch("results", batch_id, "-o", str(target))
    assert fetched.returncode == 0, fetched.stderr
    assert len(target.read_text().splitlines()) == ASKED


def test_a_bad_file_ends_in_exit_code_1_and_its_faults(stack: RunningStack, tmp_path: Path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(jsonl([chat_line(1, "absent")]))
    done = stack.vbatch("submit", str(path), "--watch")
    assert done.returncode == 1
    assert "line 1: " in done.stderr


def test_models_are_listed(stack: RunningStack):
    assert CHAT in stack.vbatch("models").stdout.split()


def test_status_in_json_says_that_all_is_ready(stack: RunningStack):
    done = stack.vbatch("status", "--json")
    assert done.returncode == 0, done.stdout
    assert {each["name"] for each in json.loads(done.stdout)["services"] if each["is_ready"]} >= {"gateway", "nats"}


def test_the_log_is_told_in_its_order(stack: RunningStack, input_file: Path):
    batch_id = stack.vbatch("submit", str(input_file), "--wait").stdout.strip()
    done = stack.vbatch("events", "--batch", batch_id, "--json")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["sequence"] for each in told] == sorted(each["sequence"] for each in told)
    assert (told[0]["name"], told[-1]["name"]) == ("batch.created", "batch.completed")


def test_events_of_one_kind_are_picked_by_a_glob(stack: RunningStack):
    done = stack.vbatch("events", "--type", "model.registered")
    assert done.returncode == 0, done.stderr
    assert done.stdout and all("model.registered" in line for line in done.stdout.splitlines())


def test_a_batch_that_is_not_there_is_refused(stack: RunningStack):
    done = stack.vbatch("watch", "batch_" + "0" * 32)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("vbatch: No batch found")


async def test_the_reader_follows_the_log_as_the_command_says(stack: RunningStack):
    told = stack.vbatch("events", "access")
    assert told.returncode == 0, told.stderr
    [key] = {word for word in told.stdout.split() if word.endswith(".nk")}
    seen: list[str] = []
    client = await nats.connect(stack.settings.log_url, nkeys_seed=key, inbox_prefix="_INBOX_reader")
    try:
        arrived = asyncio.Event()

        async def hear(message: Msg) -> None:
            seen.append(message.subject)
            arrived.set()

        await client.subscribe("evt.file.>", cb=hear)
        await client.flush()
        with stack.client() as openai:
            await asyncio.to_thread(openai.files.create, file=("in.jsonl", jsonl([chat_line(1)])), purpose="batch")
        await asyncio.wait_for(arrived.wait(), 10)
    finally:
        await client.close()
    assert [subject.split(".")[-1] for subject in seen] == ["stored"]
