"""What keys, quotas and rate limits cost: the same batch on two servers, one with all of them and one without.

python -m benchmarks.access [--requests 20000] [--pairs 6]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

from openai import OpenAI

from benchmarks import batches, report
from tests.support.stack import RunningStack, running_stack

REQUESTS, PAIRS = 20_000, 6
LINE_BYTES = 500
WARM_REQUESTS = 1_000
READS = 1_000
GOAL = 0.98
NO_STANDBY = {"VBATCH_GPU_RUNNER_HAS_STANDBY": "false"}
LIMITS = ("--creates", "100000", "--uploads", "100000", "--reads", "1000000", "--bytes", "100000000000")
QUOTA = ("--batches", "1000", "--requests", "100000000", "--bytes", "1000000000000", "--tokens", "1000000000000")


@dataclass(frozen=True)
class Side:
    """A server, and a client whose batches and reads are measured."""

    stack: RunningStack
    client: OpenAI


@dataclass(frozen=True)
class Measured:
    requests_per_second: float
    reads_per_second: float
    reads_per_gateway_cpu_second: float


def main(requests: int, pairs: int) -> int:
    """Both sides of a pair run one after the other on servers that stay up, so that a busier minute of the machine
    meets both. The side that begins alternates. Returns 1 if the goal is missed."""
    found: list[tuple[Measured, Measured]] = []
    with tempfile.TemporaryDirectory() as folder, side(requests, is_on=False) as off, side(requests, is_on=True) as on:
        for each in (off, on):
            measured(each, _file(Path(folder), WARM_REQUESTS), WARM_REQUESTS)
        path = _file(Path(folder), requests)
        for number in range(pairs):
            ordered = (off, on) if number % 2 == 0 else (on, off)
            figures = [measured(each, path, requests) for each in ordered]
            found.append((figures[0], figures[1]) if ordered[0] is off else (figures[1], figures[0]))
            sys.stdout.write(f"pair {number + 1}: off {found[-1][0]}, on {found[-1][1]}\n")
            sys.stdout.flush()
    return written(compared(found, requests), requests, pairs)


@contextmanager
def side(requests: int, *, is_on: bool) -> Iterator[Side]:
    """A server of its own. With everything on, its client has a key of scope user, and every quota and limit is set but
    never reached."""
    environment = {**batches.limits(max(requests, WARM_REQUESTS)), **NO_STANDBY}
    with running_stack(environment=environment) as stack, client_of(stack, is_on=is_on) as client:
        yield Side(stack, client)


def measured(each: Side, path: Path, requests: int) -> Measured:
    """Measure a batch from create to end, then reads of it one after another."""
    client, gateway = each.client, each.stack.process("gateway")
    with path.open("rb") as file:
        uploaded = client.files.create(file=file, purpose="batch")
    created = time.monotonic()
    batch = batches.create(client, uploaded.id)
    _follow(each, batch.id)
    seconds = time.monotonic() - created
    batches.check_output(client, batches.wait(client, batch), requests)
    read, spent = time.monotonic(), sum(gateway.cpu_times()[:2])
    for _ in range(READS):
        client.batches.retrieve(batch.id)
    read_seconds, spent = time.monotonic() - read, sum(gateway.cpu_times()[:2]) - spent
    return Measured(requests / seconds, READS / read_seconds, READS / spent)


def client_of(stack: RunningStack, *, is_on: bool) -> OpenAI:
    if not is_on:
        return stack.client()
    admin = _said(stack, "keys", "init")
    user = _said(stack, "keys", "create", "ann", "--api-key", admin)
    _said(stack, "limits", *LIMITS, "--api-key", admin)
    _said(stack, "quota", "ann", *QUOTA, "--priority", "100", "--api-key", admin)
    return stack.client(user)


def compared(found: Sequence[tuple[Measured, Measured]], requests: int) -> dict[str, report.Figure]:
    """`ratio_` is the median over the pairs of on divided by off, between the smallest and the largest one."""
    figures: dict[str, report.Figure] = {
        "requests": requests,
        "pairs": len(found),
        "load_average": round(os.getloadavg()[1], 1),
        "goal_of_ratio": GOAL,
    }
    for name in Measured.__dataclass_fields__:
        pairs = [(getattr(off, name), getattr(on, name)) for off, on in found]
        ratios = sorted(on / off for off, on in pairs)
        figures |= {
            f"off_{name}": round(median(off for off, _ in pairs), 1),
            f"on_{name}": round(median(on for _, on in pairs), 1),
            f"ratio_of_{name}": round(median(ratios), 4),
            f"ratio_of_{name}_min": round(ratios[0], 4),
            f"ratio_of_{name}_max": round(ratios[-1], 4),
        }
    return figures


def written(figures: dict[str, report.Figure], requests: int, pairs: int) -> int:
    command = ["python", "-m", "benchmarks.access", f"--requests {requests}", f"--pairs {pairs}"]
    target = report.write("access", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<46} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    ratio = figures["ratio_of_requests_per_second"]
    return 0 if isinstance(ratio, float) and ratio >= GOAL else 1


def _follow(each: Side, batch_id: str) -> None:
    """Return when the stream of the batch's events ends, which is more exact than asking from time to time."""
    headers = {"Authorization": f"Bearer {each.client.api_key}"}
    request = Request(f"{each.stack.url}/v1/batches/{batch_id}/events", headers=headers)
    with urlopen(request, timeout=batches.END_SECONDS_MAX) as stream:
        while stream.read(batches.BLOCK_BYTES):
            pass


def _file(folder: Path, requests: int) -> Path:
    path = folder / f"{requests}.jsonl"
    with path.open("wb") as file:
        file.writelines(batches.lines(requests, LINE_BYTES))
    return path


def _said(stack: RunningStack, *arguments: str) -> str:
    done = stack.vbatch(*arguments)
    if done.returncode != 0:
        sys.exit(f"vbatch {' '.join(arguments[:2])}: {done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    given = parser.parse_args()
    sys.exit(main(given.requests, given.pairs))
