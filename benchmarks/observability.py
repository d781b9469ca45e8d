"""What observability costs: the batch of bench:overhead with metrics, traces and logs, and with none of them,
alternately.

python -m benchmarks.observability [--requests 40000] [--rounds 1] [--share 0.01]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import batches, report
from benchmarks.overhead import LINE_BYTES, NO_STANDBY, measure
from benchmarks.scraping import Scraper
from tests.support.stack import RunningStack, running_stack, wait_until
from tests.support.trace_receiver import Received, receiving_traces
from vbatch.contracts.ids import BatchId
from vbatch.journal.jetstream import connect
from vbatch.local.log_access import log_settings
from vbatch.results.flows.tracing import request_traces_of, trace_of

REQUESTS, ROUNDS, SHARE = 40_000, 1, 0.01
DERIVED = "vbatch"
SEEN_SECONDS_MAX = 60.0
GOAL = 0.95
PROGRAMS = ("gateway", "scheduler", "gpu_runner", "results", "nats")
COMPARED = ("requests_per_second", "cpu_ms_per_request", *(f"cpu_ms_per_request_{name}" for name in PROGRAMS))


def main(requests: int, rounds: int, share: float) -> int:
    """Each round is off, on, on, off, so that drift over time affects both sides equally."""
    found: dict[bool, list[dict[str, report.Figure]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.jsonl"
        with path.open("wb") as file:
            file.writelines(batches.lines(requests, LINE_BYTES))
        for is_on in (False, True, True, False) * rounds:
            found[is_on].append(seen(path, requests, share) if is_on else unseen(path, requests))
            sys.stdout.write(f"{'on ' if is_on else 'off'} {found[is_on][-1]['requests_per_second']} requests/s\n")
            sys.stdout.flush()
    figures = compared(found, requests, share)
    command = ["python", "-m", "benchmarks.observability", f"--requests {requests}", f"--rounds {rounds}"]
    target = report.write("observability", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def unseen(path: Path, requests: int) -> dict[str, report.Figure]:
    with running_stack(environment={**batches.limits(requests), **NO_STANDBY}) as stack:
        return measure(stack, path, requests)


def seen(path: Path, requests: int, share: float) -> dict[str, report.Figure]:
    """Measure with observability on. The trace and log server is a receiver in this process, which reads everything it
    gets."""
    with receiving_traces() as received:
        environment = {
            **batches.limits(requests),
            **NO_STANDBY,
            "VBATCH_OTLP_ENDPOINT": received.url,
            "VBATCH_OTLP_LOGS_ENDPOINT": received.url,
            "VBATCH_RESULTS_TRACE_REQUESTS_SHARE": str(share),
        }
        with running_stack(environment=environment) as stack:
            with Scraper(stack) as scraper:
                figures = measure(stack, path, requests)
            wait_until(lambda: count(received, "batch") == 1, "the trace arrives", SEEN_SECONDS_MAX)
            return {
                **figures,
                "scrapes": len(scraper.seconds),
                "request_traces": count(received, "request"),
                "log_lines": sum(map(len, received.lines.values())),
                "trace_cpu_us_per_request": trace_cpu_us(stack, share, requests),
            }


def count(received: Received, name: str) -> int:
    return sum(span.name == name for span in received.spans.get(DERIVED, ()))


def trace_cpu_us(stack: RunningStack, share: float, requests: int) -> float:
    """The processor time of this process to read the batch from the log and derive all its spans, as results does."""
    with stack.client() as client:
        batch_id = BatchId(client.batches.list(limit=1).data[0].id)
    return round(1e6 * asyncio.run(_derived(stack, batch_id, share)) / requests, 2)


async def _derived(stack: RunningStack, batch_id: BatchId, share: float) -> float:
    async with connect(log_settings(stack.settings, "observability")) as journal:
        began = time.process_time()
        trace = await trace_of(journal.log, batch_id)
        spans = trace.spans() + (await request_traces_of(journal.log, trace, share)).spans()
        seconds = time.process_time() - began
    assert any(span.name == "request" for span in spans)
    return seconds


def compared(
    found: dict[bool, list[dict[str, report.Figure]]], requests: int, share: float
) -> dict[str, report.Figure]:
    figures: dict[str, report.Figure] = {"requests": requests, "runs_of_each": len(found[True]), "share_traced": share}
    for name in COMPARED:
        figures |= {f"off_{name}": _middle(found[False], name), f"on_{name}": _middle(found[True], name)}
    off, on = (_middle(found[is_on], "requests_per_second") for is_on in (False, True))
    figures |= {
        "throughput_kept": round(on / off, 4),
        "throughput_kept_goal": GOAL,
        "trace_cpu_us_per_request": _middle(found[True], "trace_cpu_us_per_request"),
        "request_traces": _middle(found[True], "request_traces"),
        "log_lines": _middle(found[True], "log_lines"),
        "scrapes": _middle(found[True], "scrapes"),
    }
    return figures


def _middle(found: list[dict[str, report.Figure]], name: str) -> float:
    values = [value for figures in found if isinstance(value := figures[name], int | float)]
    return round(median(values), 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--share", type=float, default=SHARE)
    given = parser.parse_args()
    sys.exit(main(given.requests, given.rounds, given.share))
