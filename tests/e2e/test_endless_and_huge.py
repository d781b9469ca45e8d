"""A request that never ends and an answer larger than a message, beside ordinary ones, through the whole stack."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.e2e.asking import Line, assert_each_line_once_in_order, chat_line, ended, jsonl, submit
from tests.support.paths import paths_below
from tests.support.stack import RunningStack, running_stack
from vbatch.journal.settings import MIB

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

REQUEST_SECONDS_MAX = 2.0
ENDLESS, HUGE = 3, 5
HUGE_BYTES = 5 * MIB
"""More than the 2 MiB of one message in the log, and than the 4 MiB the server takes at all."""


@pytest.fixture(scope="module")
def hasty() -> Iterator[RunningStack]:
    """A stack that waits for no answer longer than REQUEST_SECONDS_MAX."""
    with running_stack(environment={"VBATCH_GPU_RUNNER_REQUEST_SECONDS_MAX": str(REQUEST_SECONDS_MAX)}) as running:
        yield running


def steered(number: int, **steer: object) -> Line:
    line = chat_line(number)
    line["body"]["simulate"] = steer
    return line


def test_the_endless_one_fails_alone_and_the_huge_one_comes_whole(hasty: RunningStack):
    given = [chat_line(number) for number in range(10)]
    given[ENDLESS] = steered(ENDLESS, hang=True)
    given[HUGE] = steered(HUGE, answer_bytes=HUGE_BYTES)
    with hasty.client() as client:
        found = ended(client, submit(client, jsonl(given)).id)
        so_far = partial_lines(client, found.batch.id)

    assert found.batch.status == "completed", hasty.logs()
    assert_each_line_once_in_order(given, found)
    [endless] = found.errors
    assert endless["custom_id"] == given[ENDLESS]["custom_id"]
    assert endless["response"] is None and endless["error"]["code"] == "request_timeout"
    assert "time limit" in endless["error"]["message"]
    huge = next(line for line in found.output if line["custom_id"] == given[HUGE]["custom_id"])
    assert len(json.dumps(huge["response"]["body"])) >= HUGE_BYTES
    assert huge in so_far
    assert [path.name for path in paths_below(hasty.home / "blobs" / "answers") if path.is_file()] == [str(HUGE + 1)]


def partial_lines(client: OpenAI, batch_id: str) -> list[Line]:
    content = client.get(f"/batches/{batch_id}/results", cast_to=bytes, options={"headers": {"accept": "*/*"}})
    return [json.loads(line) for line in content.splitlines()]
