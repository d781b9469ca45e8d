"""What keys, quotas and rate limits cost: the same batch with all of them and with none, alternating in one run.

python -m benchmarks.access [--requests 20000] [--rounds 2]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from openai import OpenAI

from benchmarks import batches, report
from tests.support.stack import RunningStack, running_stack

REQUESTS, ROUNDS = 20_000, 2
LINE_BYTES = 500
READS = 2_000
NO_STANDBY = {"VBATCH_GPU_RUNNER_HAS_STANDBY": "false"}
LIMITS = ("--creates", "100000", "--uploads", "100000", "--reads", "1000000", "--bytes", "100000000000")
QUOTA = ("--batches", "1000", "--requests", "100000000", "--bytes", "1000000000000", "--tokens", "1000000000000")


def main(requests: int, rounds: int) -> int:
    """Each round is off, on, on, off, so that drift over time affects both sides equally."""
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl"
        with path.open("wb") as file:
            file.writelines(batches.lines(requests, LINE_BYTES))
        for is_on in (False, True, True, False) * rounds:
            found[is_on].append(measured(path, requests, is_on=is_on))
            sys.stdout.write(f"{'on ' if is_on else 'off'} {found[is_on][-1]}\n")
            sys.stdout.flush()
    figures = compared(found, requests)
    command = ["python", "-m", "benchmarks.access", f"--requests {requests}", f"--rounds {rounds}"]
    target = report.write("access", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def measured(path: Path, requests: int, *, is_on: bool) -> dict[str, float]:
    """Measure on a separate stack: a batch from create to end, then reads of it one after another."""
    environment = {**batches.limits(requests), **NO_STANDBY}
    with running_stack(environment=environment) as stack, client_of(stack, is_on=is_on) as client:
        with path.open("rb") as file:
            uploaded = client.files.create(file=file, purpose="batch")
        created = time.monotonic()
        batch = batches.wait(client, batches.create(client, uploaded.id))
        seconds = time.monotonic() - created
        batches.check_output(client, batch, requests)
        gateway = stack.process("gateway")
        read, spent = time.monotonic(), sum(gateway.cpu_times()[:2])
        for _ in range(READS):
            client.batches.retrieve(batch.id)
        read_seconds, spent = time.monotonic() - read, sum(gateway.cpu_times()[:2]) - spent
    return {
        "requests_per_second": requests / seconds,
        "reads_per_second": READS / read_seconds,
        "reads_per_gateway_cpu_second": READS / spent,
    }


def client_of(stack: RunningStack, *, is_on: bool) -> OpenAI:
    """A client of the stack. With everything on, it has a key of scope user, and every quota and limit is set but never
    reached."""
    if not is_on:
        return stack.client()
    admin = _said(stack, "keys", "init")
    user = _said(stack, "keys", "create", "ann", "--api-key", admin)
    _said(stack, "limits", *LIMITS, "--api-key", admin)
    _said(stack, "quota", "ann", *QUOTA, "--priority", "100", "--api-key", admin)
    return stack.client(user)


def compared(found: dict[bool, list[dict[str, float]]], requests: int) -> dict[str, report.Figure]:
    figures: dict[str, report.Figure] = {"requests": requests, "runs_of_each": len(found[True])}
    for name in ("requests_per_second", "reads_per_second", "reads_per_gateway_cpu_second"):
        off, on = (median(each[name] for each in found[is_on]) for is_on in (False, True))
        figures |= {f"off_{name}": round(off, 1), f"on_{name}": round(on, 1), f"ratio_of_{name}": round(on / off, 4)}
    return figures


def _said(stack: RunningStack, *arguments: str) -> str:
    done = stack.vbatch(*arguments)
    if done.returncode != 0:
        sys.exit(f"vbatch {' '.join(arguments[:2])}: {done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    sys.exit(main(given.requests, given.rounds))
