"""`python -m benchmarks.steering`: how soon a cancel frees the device, and how fast a batch is read while the scheduler
runs and while it is stopped. It runs on the simulated engine."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from urllib.request import urlopen

import psutil
from openai import OpenAI

from benchmarks import report
from tests.e2e.asking import chat_line, jsonl, submit, wait_for_end
from tests.e2e.test_steering import inside, long_line
from tests.support.stack import CHAT, OTHER_CHAT, RunningStack, running_stack, wait_until

ROUNDS = 20
READS = 2_000
INSIDE_MIN = 64
WAIT_SECONDS_MAX = 30.0
POLL_SECONDS = 0.005
STALE_AFTER_SECONDS = 11.0
"""After this time, the gateway's forecast is out of date and unused."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steering", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="cancels, for each model")
    parser.add_argument("--reads", type=int, default=READS, help="reads of one batch, in each state of the scheduler")
    asked = parser.parse_args()
    figures: dict[str, report.Figure] = {"rounds": asked.rounds, "reads": asked.reads}
    figures["load_average"] = round(psutil.getloadavg()[0], 1)
    with running_stack() as stack, stack.client() as client:
        for name, model in (("the_same_model", CHAT), ("another_model", OTHER_CHAT)):
            waits = [_freed(stack, client, model) for _ in range(asked.rounds)]
            figures[f"cancel_to_next_answer_on_{name}_seconds_median"] = round(statistics.median(waits), 3)
            figures[f"cancel_to_next_answer_on_{name}_seconds_max"] = round(max(waits), 3)
        figures |= _reads(stack, client, asked.reads)
    command = ["python", "-m", "benchmarks.steering", f"--rounds {asked.rounds}", f"--reads {asked.reads}"]
    target = report.write("steering", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<62} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def _freed(stack: RunningStack, client: OpenAI, model: str) -> float:
    """The seconds from a cancel until a client sees the first answer of the batch that waited."""
    long = submit(client, jsonl(long_line(number) for number in range(200)))
    wait_until(lambda: inside(stack) >= INSIDE_MIN, "the engine is full", WAIT_SECONDS_MAX)
    following = submit(client, jsonl(chat_line(number, model) for number in range(50)))
    wait_until(lambda: client.batches.retrieve(following.id).status == "in_progress", "it waits", WAIT_SECONDS_MAX)
    began = time.monotonic()
    client.batches.cancel(long.id)
    while not _answered(client, following.id):
        time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - began
    wait_for_end(client, long.id)
    wait_for_end(client, following.id)
    return seconds


def _answered(client: OpenAI, batch_id: str) -> int:
    counts = client.batches.retrieve(batch_id).request_counts
    return counts.completed if counts else 0


def _reads(stack: RunningStack, client: OpenAI, count: int) -> dict[str, report.Figure]:
    """The times of reads of an unfinished batch; in the worst case, a stopped scheduler accepts connections and never
    answers."""
    batch = submit(client, jsonl(long_line(number) for number in range(10)))
    wait_until(lambda: inside(stack) > 0, "it runs", WAIT_SECONDS_MAX)
    url = f"{stack.url}/v1/batches/{batch.id}"
    figures = _percentiles("alive", url, count)
    scheduler = stack.process("scheduler")
    scheduler.suspend()
    try:
        time.sleep(STALE_AFTER_SECONDS)
        figures |= _percentiles("silent", url, count)
    finally:
        scheduler.resume()
    client.batches.cancel(batch.id)
    wait_for_end(client, batch.id)
    return figures


def _percentiles(state: str, url: str, count: int) -> dict[str, report.Figure]:
    seconds = sorted(_read(url) for _ in range(count))
    places = {"p50": count // 2, "p99": count * 99 // 100}
    return {f"read_with_scheduler_{state}_ms_{name}": round(1000 * seconds[at], 2) for name, at in places.items()}


def _read(url: str) -> float:
    began = time.perf_counter()
    with urlopen(url) as answer:
        answer.read()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
