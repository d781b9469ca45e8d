"""Shared by benchmarks that run whole batches: requests of a given size, waiting for the end, checking the output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator

import msgspec
from openai import OpenAI
from openai.types import Batch

from tests.support.stack import CHAT
from vbatch.contracts.endpoints import CHAT_COMPLETIONS

END_SECONDS_MAX = 3_600.0
POLL_SECONDS = 0.25
ENDED = {"completed", "failed", "cancelled", "expired"}
BLOCK_BYTES = 1 << 20


class _Named(msgspec.Struct):
    custom_id: str


def limits(requests: int) -> dict[str, str]:
    """The settings of a server that accepts a batch of this many requests, whatever its bytes."""
    return {"VBATCH_SCHEDULER_LINES_MAX": str(requests), "VBATCH_GATEWAY_BATCH_FILE_BYTES_MAX": str(8 << 30)}


def lines(requests: int, line_bytes: int, model: str = CHAT) -> Iterator[bytes]:
    """Chat requests of about `line_bytes` bytes each."""
    for number in range(requests):
        line = _line(number, "", model)
        yield _line(number, "x" * max(0, line_bytes - len(line)), model)


def create(client: OpenAI, file_id: str) -> Batch:
    return client.batches.create(input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h")


def wait(client: OpenAI, batch: Batch, on_answer: Callable[[Batch, float], None] | None = None) -> Batch:
    """Wait until the batch has ended; `on_answer` gets each poll's answer and the seconds it took."""
    deadline = time.monotonic() + END_SECONDS_MAX
    while batch.status not in ENDED:
        if time.monotonic() > deadline:
            sys.exit(f"the batch did not end within {END_SECONDS_MAX:.0f} s: {batch.request_counts}")
        time.sleep(POLL_SECONDS)
        asked = time.monotonic()
        batch = client.batches.retrieve(batch.id)
        if on_answer:
            on_answer(batch, time.monotonic() - asked)
    return batch


def check_output(client: OpenAI, batch: Batch, requests: int) -> int:
    """Return the bytes of the output. Exits unless it holds every line once, in the order of the input."""
    if batch.status != "completed" or batch.output_file_id is None:
        sys.exit(f"the batch is {batch.status}, {batch.request_counts}: nothing was measured")
    decoder, found, size = msgspec.json.Decoder(_Named), 0, 0
    with client.files.with_streaming_response.content(batch.output_file_id) as response:
        rest = b""
        for block in response.iter_bytes(BLOCK_BYTES):
            size += len(block)
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                if decoder.decode(line).custom_id != _name(found):
                    sys.exit(f"line {found + 1} of the output is of another request: {line[:200]!r}")
                found += 1
    if found != requests or rest:
        sys.exit(f"the output has {found} lines for {requests} requests, and {len(rest)} bytes behind them")
    return size


def _name(number: int) -> str:
    return f"request-{number}"


def _line(number: int, filling: str, model: str) -> bytes:
    messages = [{"role": "user", "content": f"Say something about the number {number}. {filling}"}]
    body = {"model": model, "messages": messages, "max_tokens": 16}
    request = {"custom_id": _name(number), "method": "POST", "url": CHAT_COMPLETIONS, "body": body}
    return json.dumps(request).encode() + b"\n"
