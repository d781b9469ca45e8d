"""What the server costs on top of the engine: a large batch of chat requests on the simulated engine, end to end.

python -m benchmarks.overhead [--requests 50000]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from openai import OpenAI
from openai.types import Batch

from benchmarks import report
from benchmarks.processes import Sampler
from tests.support.stack import CHAT, RunningStack, running_stack

REQUESTS = 50_000
LINE_BYTES = 500
END_SECONDS_MAX = 1_800.0
POLL_SECONDS = 0.25
ENDED = {"completed", "failed", "cancelled", "expired"}
MEGABYTE = 1_000_000
ENGINE = "engine"
"""The simulated engine is no part of the server: its figures stand apart and in no sum."""


def main(requests: int) -> int:
    with tempfile.TemporaryDirectory() as folder, running_stack() as stack:
        path = Path(folder) / "in.jsonl"
        path.write_bytes(b"".join(lines(requests)))
        figures = measure(stack, path, requests)
    target = report.write("overhead", ["python", "-m", "benchmarks.overhead", f"--requests {requests}"], figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def lines(requests: int) -> Iterator[bytes]:
    """Chat requests of about `LINE_BYTES` each."""
    for number in range(requests):
        line = _line(number, "")
        yield _line(number, "x" * max(0, LINE_BYTES - len(line)))


def measure(stack: RunningStack, path: Path, requests: int) -> dict[str, report.Figure]:
    pids = {each.name: each.pid for each in stack.stack.status().services if each.pid is not None}
    with stack.client() as client, Sampler(pids, {ENGINE: "vbatch.gpu_runner.simulated"}) as sampler:
        began = time.monotonic()
        uploaded = client.files.create(file=path.open("rb"), purpose="batch")
        created = time.monotonic()
        batch = client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        batch = _wait(client, batch)
        seconds = time.monotonic() - created
    with stack.client() as client:
        check(client, batch, requests)
    return {
        "requests": requests,
        "input_mb": round(path.stat().st_size / MEGABYTE, 1),
        "upload_seconds": round(created - began, 3),
        "seconds": round(seconds, 3),
        "requests_per_second": round(requests / seconds, 1),
        **_memory(sampler),
        **_cpu(sampler, requests),
    }


def check(client: OpenAI, batch: Batch, requests: int) -> None:
    """Exits when the output is not every line once, in the order of the input."""
    if batch.status != "completed" or batch.output_file_id is None:
        sys.exit(f"the batch is {batch.status}, {batch.request_counts}: nothing was measured")
    found = client.files.content(batch.output_file_id).content.splitlines()
    names = [json.loads(line)["custom_id"] for line in found]
    if names != [_name(number) for number in range(requests)]:
        sys.exit(f"the output is wrong: {len(names)} lines, {len(set(names))} different, of {requests}")


def _wait(client: OpenAI, batch: Batch) -> Batch:
    deadline = time.monotonic() + END_SECONDS_MAX
    while batch.status not in ENDED:
        if time.monotonic() > deadline:
            sys.exit(f"the batch did not end within {END_SECONDS_MAX:.0f} s: {batch.request_counts}")
        time.sleep(POLL_SECONDS)
        batch = client.batches.retrieve(batch.id)
    return batch


def _memory(sampler: Sampler) -> dict[str, report.Figure]:
    per_program = {name: round(peak / MEGABYTE, 1) for name, peak in sampler.peak_bytes.items()}
    return {
        "peak_rss_mb_max": max(value for name, value in per_program.items() if name != ENGINE),
        "peak_rss_mb_total": round(sampler.peak_bytes_of_all / MEGABYTE, 1),
        **{f"peak_rss_mb_{_key(name)}": value for name, value in per_program.items()},
    }


def _cpu(sampler: Sampler, requests: int) -> dict[str, report.Figure]:
    per_program = {name: seconds * 1_000 / requests for name, seconds in sampler.cpu_seconds.items()}
    return {
        "cpu_ms_per_request": round(sum(value for name, value in per_program.items() if name != ENGINE), 3),
        **{f"cpu_ms_per_request_{_key(name)}": round(value, 3) for name, value in per_program.items()},
    }


def _key(program: str) -> str:
    return program.replace("-", "_")


def _name(number: int) -> str:
    return f"request-{number}"


def _line(number: int, filling: str) -> bytes:
    messages = [{"role": "user", "content": f"Say something about the number {number}. {filling}"}]
    body = {"model": CHAT, "messages": messages, "max_tokens": 16}
    request = {"custom_id": _name(number), "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(request).encode() + b"\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    sys.exit(main(parser.parse_args().requests))
