"""What the end-to-end tests ask of a server, and how they check that nothing was lost and nothing came twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from openai import OpenAI
from openai.types import Batch

from tests.support.stack import CHAT

Line = dict[str, Any]
"""One line of an input or output file, as JSON gives it."""

Endpoint = Literal["/v1/chat/completions", "/v1/embeddings"]
ENDED = {"completed", "failed", "cancelled", "expired"}
END_SECONDS_MAX = 120.0
POLL_SECONDS = 0.1
PROMPT = "Say something short about the number {number}. "


@dataclass(frozen=True)
class Ended:
    """A batch at its end, with the lines of both of its files."""

    batch: Batch
    output: list[Line]
    errors: list[Line]

    @property
    def custom_ids(self) -> list[str]:
        return [line["custom_id"] for line in self.output]

    @property
    def failed_ids(self) -> list[str]:
        return [line["custom_id"] for line in self.errors]


def chat_line(number: int, model: str = CHAT, *, prompt: str = PROMPT) -> Line:
    messages = [{"role": "user", "content": prompt.format(number=number)}]
    body = {"model": model, "messages": messages, "max_tokens": 8}
    return {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def embedding_line(number: int, model: str) -> Line:
    body = {"model": model, "input": f"sentence {number}"}
    return {"custom_id": f"sentence-{number}", "method": "POST", "url": "/v1/embeddings", "body": body}


def jsonl(lines: Iterable[Line]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def submit(client: OpenAI, content: bytes, endpoint: Endpoint = "/v1/chat/completions", **more: object) -> Batch:
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=uploaded.id, endpoint=endpoint, completion_window="24h", extra_body=more or None
    )


def wait_for_end(client: OpenAI, batch_id: str, seconds_max: float = END_SECONDS_MAX) -> Batch:
    """Polled, as every client does it; a server that is down for a moment is asked again by the client itself."""
    deadline = time.monotonic() + seconds_max
    while True:
        batch = client.batches.retrieve(batch_id)
        if batch.status in ENDED:
            return batch
        assert time.monotonic() < deadline, f"{batch_id} is still {batch.status}: {batch.request_counts}"
        time.sleep(POLL_SECONDS)


def ended(client: OpenAI, batch_id: str, seconds_max: float = END_SECONDS_MAX) -> Ended:
    batch = wait_for_end(client, batch_id, seconds_max)
    return Ended(batch, _lines(client, batch.output_file_id), _lines(client, batch.error_file_id))


def wait_for_progress(client: OpenAI, batch_id: str, completed: int, seconds_max: float = END_SECONDS_MAX) -> Batch:
    """The batch once at least `completed` requests have answers and it has not ended."""
    deadline = time.monotonic() + seconds_max
    while True:
        batch = client.batches.retrieve(batch_id)
        counts = batch.request_counts
        assert batch.status not in ENDED, f"{batch_id} ended before it could be disturbed: {batch.status} {counts}"
        if counts and counts.completed >= completed:
            return batch
        assert time.monotonic() < deadline, f"{batch_id} stands at {counts}"
        time.sleep(POLL_SECONDS)


def assert_each_line_once_in_order(given: list[Line], found: Ended) -> None:
    """Every input line stands in the output or the error file, once, and each file keeps the order of the input."""
    asked = [line["custom_id"] for line in given]
    place = {custom_id: number for number, custom_id in enumerate(asked)}
    assert sorted(found.custom_ids + found.failed_ids, key=place.__getitem__) == asked
    assert found.custom_ids == sorted(found.custom_ids, key=place.__getitem__)
    assert found.failed_ids == sorted(found.failed_ids, key=place.__getitem__)


def _lines(client: OpenAI, file_id: str | None) -> list[Line]:
    if file_id is None:
        return []
    return [json.loads(line) for line in client.files.content(file_id).content.splitlines()]
