"""The read model is made again from the log under a stack that serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest
from openai import OpenAI, OpenAIError

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.support.stack import RunningStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ASKED = 40


def test_what_the_stack_serves_equals_its_log(stack: RunningStack, client: OpenAI):
    ended(client, submit(client, jsonl(chat_line(number) for number in range(ASKED))).id)
    done = stack.vbatch("rebuild", "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal to the log" in done.stdout


async def test_a_tampered_row_is_named_and_mended_by_a_switch_that_no_reader_notices(
    stack: RunningStack, client: OpenAI
):
    batch = ended(client, submit(client, jsonl(chat_line(number) for number in range(ASKED))).id).batch
    await tamper(stack, batch.id)
    found = stack.vbatch("rebuild", "--verify", "--json")
    assert found.returncode == 1, found.stderr
    *progress, report = [json.loads(line) for line in found.stdout.splitlines()]
    assert all("progress" in each for each in progress)
    assert [each["where"] for each in report["differences"]] == [f"batch id {batch.id}"]

    with reading(client, batch.id) as failures:
        switched = stack.vbatch("rebuild", "--switch", "--json")
    assert all(json.loads(line) for line in switched.stdout.splitlines())
    assert (switched.returncode, failures) == (0, []), switched.stdout + switched.stderr
    assert client.batches.retrieve(batch.id) == batch
    after = ended(client, submit(client, jsonl(chat_line(number) for number in range(ASKED))).id)
    assert after.batch.status == "completed"
    assert stack.vbatch("rebuild", "--clean").returncode == 0


def test_an_earlier_moment_is_made_beside_and_says_how_to_look_at_it(stack: RunningStack):
    done = stack.vbatch("rebuild", "--until", "3")
    assert done.returncode == 0, done.stderr
    assert "read_model_1_past" in done.stdout
    assert "past-3" in done.stdout


async def tamper(stack: RunningStack, batch_id: str) -> None:
    url = (stack.home / "secrets" / "postgres-url").read_text()
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE read_model_1.batch SET completed = 1 WHERE id = $1", batch_id)
    finally:
        await connection.close()


@contextmanager
def reading(client: OpenAI, batch_id: str) -> Iterator[list[str]]:
    """The batch is asked for again and again; what went wrong."""
    failures: list[str] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.wait(0.02):
            try:
                client.with_options(max_retries=0).batches.retrieve(batch_id)
            except OpenAIError as error:
                failures.append(str(error))

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        yield failures
    finally:
        is_over.set()
        reader.join()
