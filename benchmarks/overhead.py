"""What the server costs on top of the engine: a large batch of chat requests on the simulated engine, end to end.

python -m benchmarks.overhead [--requests 50000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import batches, report
from benchmarks.processes import Sampler
from tests.support.stack import RunningStack, running_stack

REQUESTS = 50_000
LINE_BYTES = 500
MEGABYTE = 1_000_000
ENGINE = "engine"
"""The simulated engine is not part of the server: its figures are separate and not included in any sum."""
NO_STANDBY = {"VBATCH_GPU_RUNNER_HAS_STANDBY": "false"}
"""Turns the standby off, because the next engine is not part of the server either."""


def main(requests: int) -> int:
    environment = {**batches.limits(requests), **NO_STANDBY}
    with tempfile.TemporaryDirectory() as folder, running_stack(environment=environment) as stack:
        path = Path(folder) / "in.jsonl"
        with path.open("wb") as file:
            file.writelines(batches.lines(requests, LINE_BYTES))
        figures = measure(stack, path, requests)
    name = "overhead" if requests == REQUESTS else f"overhead_{requests}"
    target = report.write(name, ["python", "-m", "benchmarks.overhead", f"--requests {requests}"], figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def measure(stack: RunningStack, path: Path, requests: int) -> dict[str, report.Figure]:
    with stack.client() as client, sampler_of(stack) as sampler:
        began = time.monotonic()
        with path.open("rb") as file:
            uploaded = client.files.create(file=file, purpose="batch")
        created = time.monotonic()
        batch = batches.wait(client, batches.create(client, uploaded.id))
        seconds = time.monotonic() - created
    with stack.client() as client:
        batches.check_output(client, batch, requests)
    return {
        "requests": requests,
        "input_mb": round(path.stat().st_size / MEGABYTE, 1),
        "upload_seconds": round(created - began, 3),
        "seconds": round(seconds, 3),
        "requests_per_second": round(requests / seconds, 1),
        **memory(sampler),
        **cpu(sampler, requests),
    }


def sampler_of(stack: RunningStack) -> Sampler:
    pids = {each.name: each.pid for each in stack.stack.status().services if each.pid is not None}
    return Sampler(pids, {ENGINE: "vbatch.gpu_runner.simulated"})


def memory(sampler: Sampler) -> dict[str, report.Figure]:
    peaks = {name: round(peak / MEGABYTE, 1) for name, peak in sampler.peak_bytes.items()}
    drifts = {name: round(sampler.drift_bytes(name) / MEGABYTE, 1) for name in peaks}
    return {
        "peak_rss_mb_max": max(value for name, value in peaks.items() if name != ENGINE),
        "peak_rss_mb_total": round(sampler.peak_bytes_of_all / MEGABYTE, 1),
        **{f"peak_rss_mb_{_key(name)}": value for name, value in peaks.items()},
        **{f"rss_drift_mb_{_key(name)}": value for name, value in drifts.items()},
    }


def cpu(sampler: Sampler, requests: int) -> dict[str, report.Figure]:
    per_program = {name: seconds * 1_000 / requests for name, seconds in sampler.cpu_seconds.items()}
    return {
        "cpu_ms_per_request": round(sum(value for name, value in per_program.items() if name != ENGINE), 3),
        **{f"cpu_ms_per_request_{_key(name)}": round(value, 3) for name, value in per_program.items()},
    }


def _key(program: str) -> str:
    return program.replace("-", "_")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    sys.exit(main(parser.parse_args().requests))
