"""A million requests from upload to download on the simulated engine, watched throughout, with small batches behind it.

This is the part of benchmarks.ingest that needs the whole server.
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from openai import OpenAI
from openai.types import Batch

from benchmarks import batches, report
from benchmarks.overhead import cpu, memory, sampler_of
from tests.support.stack import RunningStack, running_stack

LINE_BYTES = 500
SMALL = 20
LOOK_SECONDS = 0.05
REST_SECONDS = 10.0
RUNNING_SHARE = 0.1
"""The share of the large batch that is answered when a small one is submitted behind it."""
MEGABYTE = 1_000_000


def measure(requests: int) -> dict[str, report.Figure]:
    with tempfile.TemporaryDirectory() as folder, running_stack(environment=batches.limits(requests)) as stack:
        large, small = _input(Path(folder) / "large.jsonl", requests), _input(Path(folder) / "small.jsonl", SMALL)
        with stack.client() as client, sampler_of(stack) as sampler:
            small_id = _upload(client, small)
            idle = _looks_at_rest(stack, client, small_id)
            began = time.monotonic()
            batch = batches.create(client, _upload(client, large))
            with _looked_at(stack, batch) as looks:
                behind = _small_batches(client, batch, requests, small_id)
            ended = batches.wait(client, client.batches.retrieve(batch.id))
            sealed = time.monotonic()
            size = batches.check_output(client, ended, requests)
            seconds = time.monotonic() - began
            events_seconds, _ = _drained(stack, f"/v1/batches/{batch.id}/events")
            follow_seconds, followed = _drained(stack, f"/v1/batches/{batch.id}/results?after_byte=0&follow=true")
    if followed != size:
        sys.exit(f"following the answers gave {followed} bytes, the output file has {size}: nothing was measured")
    return {
        "million_requests": requests,
        "million_seconds": round(seconds, 1),
        "million_download_seconds": round(began + seconds - sealed, 1),
        "million_output_mb": round(size / MEGABYTE, 1),
        "million_planned_seconds": _between(ended.created_at, ended.in_progress_at),
        "million_sealed_seconds": _between(ended.finalizing_at, ended.completed_at),
        "million_events_seconds": round(events_seconds, 1),
        "million_follow_seconds": round(follow_seconds, 1),
        "poll_p99_ms": round(quantiles(looks, n=100)[98] * 1_000, 1),
        "poll_p99_ms_at_rest": round(quantiles(idle, n=100)[98] * 1_000, 1),
        "poll_median_ms": round(quantiles(looks, n=100)[49] * 1_000, 1),
        "polls": len(looks),
        **{name: round(value, 1) for name, value in behind.items()},
        **memory(sampler),
        **cpu(sampler, requests),
    }


def _looks_at_rest(stack: RunningStack, client: OpenAI, file_id: str) -> list[float]:
    """The seconds of reads of an ended batch on an idle server: the baseline of the machine for read times."""
    with _looked_at(stack, batches.wait(client, batches.create(client, file_id))) as looks:
        time.sleep(REST_SECONDS)
    return looks


def _small_batches(client: OpenAI, large: Batch, requests: int, file_id: str) -> dict[str, float]:
    """The seconds that small batches for the same model took while the large one was checked, ran, and was sealed."""
    behind = {"small_behind_validation_seconds": _small_batch(client, file_id)}
    _until(client, large, lambda batch: _answered(batch) >= RUNNING_SHARE * requests)
    behind["small_behind_large_seconds"] = _small_batch(client, file_id)
    _until(client, large, lambda batch: _answered(batch) >= requests)
    return behind | {"small_behind_sealing_seconds": _small_batch(client, file_id)}


def _small_batch(client: OpenAI, file_id: str) -> float:
    began = time.monotonic()
    batch = batches.wait(client, batches.create(client, file_id))
    if batch.status != "completed":
        sys.exit(f"the small batch is {batch.status}: nothing was measured")
    return time.monotonic() - began


def _until(client: OpenAI, batch: Batch, holds: Callable[[Batch], bool]) -> None:
    while not holds(batch) and batch.status not in batches.ENDED:
        time.sleep(batches.POLL_SECONDS)
        batch = client.batches.retrieve(batch.id)


def _answered(batch: Batch) -> int:
    return batch.request_counts.completed if batch.request_counts else 0


@contextmanager
def _looked_at(stack: RunningStack, batch: Batch) -> Iterator[list[float]]:
    """The seconds of reads of the batch, one after another on one connection while the block runs."""
    looks: list[float] = []
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(stack.settings.gateway_port, batch.id, looks, stop), daemon=True)
    thread.start()
    try:
        yield looks
    finally:
        stop.set()
        thread.join()


def _look(port: int, batch_id: str, looks: list[float], stop: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while not stop.wait(LOOK_SECONDS):
        began = time.perf_counter()
        connection.request("GET", f"/v1/batches/{batch_id}")
        answer = connection.getresponse()
        answer.read()
        looks.append(time.perf_counter() - began)
        if answer.status != 200:
            sys.exit(f"a look at the batch was answered {answer.status}: nothing was measured")
    connection.close()


def _drained(stack: RunningStack, path: str) -> tuple[float, int]:
    """The seconds and bytes of a stream of everything the batch has, from its first event or answer to its last."""
    began, size = time.monotonic(), 0
    connection = http.client.HTTPConnection("127.0.0.1", stack.settings.gateway_port)
    connection.request("GET", path)
    answer = connection.getresponse()
    while block := answer.read1(batches.BLOCK_BYTES):
        size += len(block)
    connection.close()
    return time.monotonic() - began, size


def _upload(client: OpenAI, path: Path) -> str:
    with path.open("rb") as file:
        return client.files.create(file=file, purpose="batch").id


def _input(path: Path, requests: int) -> Path:
    with path.open("wb") as file:
        file.writelines(batches.lines(requests, LINE_BYTES))
    return path


def _between(first: int | None, second: int | None) -> int | None:
    return second - first if first is not None and second is not None else None
