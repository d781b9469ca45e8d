"""How long a batch of a million requests stops when a service is killed, and the memory of that service.

python -m benchmarks.restarts [--requests 1000000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil
from openai import OpenAI
from openai.types import Batch

from benchmarks import batches, report
from tests.support.stack import RunningStack, kill, running_stack
from vbatch.local.probes import NotYet
from vbatch.local.programs import programs

REQUESTS = 1_000_000
LINE_BYTES = 500
SERVICES = ("scheduler", "results", "gateway", "gpu-runner")
KILL_SHARES = (0.3, 0.45, 0.6, 0.75)
"""The shares of the batch that are answered when each of the services is killed."""
MOVED_REQUESTS = 5_000
"""More requests than were in flight when a service was killed, so that their answers show that it works again."""
SECONDS_MAX = 300.0
POLL_SECONDS = 0.05
MEGABYTE = 1_000_000


def main(requests: int) -> int:
    with tempfile.TemporaryDirectory() as folder, running_stack(environment=batches.limits(requests)) as stack:
        path = Path(folder) / "in.jsonl"
        with path.open("wb") as file:
            file.writelines(batches.lines(requests, LINE_BYTES))
        figures = measure(stack, path, requests)
    target = report.write("restarts", ["python", "-m", "benchmarks.restarts", f"--requests {requests}"], figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def measure(stack: RunningStack, path: Path, requests: int) -> dict[str, report.Figure]:
    figures: dict[str, report.Figure] = {"requests": requests}
    with stack.client() as client:
        with path.open("rb") as file:
            batch = batches.create(client, client.files.create(file=file, purpose="batch").id)
        for service, share in zip(SERVICES, KILL_SHARES, strict=True):
            _until_answered(client, batch, int(share * requests))
            figures |= _killed(stack, client, batch, service)
        ended = batches.wait(client, batch)
        batches.check_output(client, ended, requests)
    return figures


def _killed(stack: RunningStack, client: OpenAI, batch: Batch, service: str) -> dict[str, report.Figure]:
    answered = _answered(client, batch)
    kill(stack.process(service))
    began = time.monotonic()
    _until_ready(stack, service)
    ready = time.monotonic() - began
    _until_answered(client, batch, answered + MOVED_REQUESTS)
    moved = time.monotonic() - began
    name = service.replace("-", "_")
    return {
        f"{name}_killed_at": answered,
        f"{name}_ready_seconds": round(ready, 1),
        f"{name}_moved_seconds": round(moved, 1),
        f"{name}_peak_rss_mb": round(_peak_bytes(stack.process(service)) / MEGABYTE, 1),
    }


def _until_ready(stack: RunningStack, service: str) -> None:
    program = next(each for each in programs(stack.settings) if each.name == service)
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            program.probe()
            return
        except NotYet:
            if time.monotonic() > deadline:
                sys.exit(f"{service} was not ready within {SECONDS_MAX:.0f} s: nothing was measured")
        time.sleep(POLL_SECONDS)


def _until_answered(client: OpenAI, batch: Batch, wanted: int) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while _answered(client, batch) < wanted:
        if time.monotonic() > deadline:
            sys.exit(f"{wanted} requests were not answered within {SECONDS_MAX:.0f} s: nothing was measured")
        time.sleep(POLL_SECONDS)


def _answered(client: OpenAI, batch: Batch) -> int:
    found = client.batches.retrieve(batch.id)
    return found.request_counts.completed if found.request_counts else 0


def _peak_bytes(process: psutil.Process) -> int:
    """The sum of the peaks of the process and its current children, as Linux counts them."""
    return sum(_high_water(each.pid) for each in [process, *process.children(recursive=True)])


def _high_water(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    sys.exit(main(parser.parse_args().requests))
