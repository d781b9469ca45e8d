"""What observability costs: the batch of bench:overhead on two stacks in turn, one with metrics, traces and logs, the
other with none of them.

python -m benchmarks.observability [--requests 40000] [--pairs 5] [--share 0.01]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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

REQUESTS, PAIRS, SHARE = 40_000, 5, 0.01
DERIVED = "vbatch"
SEEN_SECONDS_MAX = 60.0
GOAL = 0.95
PROGRAMS = ("gateway", "scheduler", "gpu_runner", "results", "nats")
RATE, CPU = "requests_per_second", "cpu_ms_per_request"
COMPARED = (RATE, CPU, *(f"{CPU}_{name}" for name in PROGRAMS))

Figures = Mapping[str, report.Figure]
Measure = Callable[[], Figures]


@dataclass(frozen=True)
class Observed:
    """A stack with observability on. `received` is its trace and log server, in this process, which reads everything it
    gets."""

    stack: RunningStack
    received: Received

    def measure(self, path: Path, requests: int) -> Figures:
        """Measure while scraping; return when the trace has arrived, so that nothing is left for the next turn."""
        before = count(self.received, "batch")
        with Scraper(self.stack) as scraper:
            figures = measure(self.stack, path, requests)
        wait_until(lambda: count(self.received, "batch") > before, "the trace arrives", SEEN_SECONDS_MAX)
        return {**figures, "scrapes": len(scraper.seconds)}


@dataclass(frozen=True)
class Pair:
    """Two turns, one right after the other, so that a load from outside affects both."""

    off: Figures
    on: Figures

    def ratio(self, name: str) -> float:
        return number(self.on, name) / number(self.off, name)


def main(requests: int, pairs: int, share: float) -> int:
    with tempfile.TemporaryDirectory() as folder, unobserved(requests) as stack, observed(requests, share) as other:
        path = Path(folder) / "in.jsonl"
        with path.open("wb") as file:
            file.writelines(batches.lines(requests, LINE_BYTES))
        off, on = partial(measure, stack, path, requests), partial(other.measure, path, requests)
        figures = {
            **compared(list(in_turn(off, on, pairs)), requests, share),
            "trace_cpu_us_per_request": trace_cpu_us(other.stack, share, requests),
            "request_traces": round(count(other.received, "request") / (pairs + 1), 1),
            "log_lines": round(sum(map(len, other.received.lines.values())) / (pairs + 1), 1),
        }
    command = ["python", "-m", "benchmarks.observability", f"--requests {requests}", f"--pairs {pairs}"]
    target = report.write("observability", command, figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


@contextmanager
def unobserved(requests: int) -> Iterator[RunningStack]:
    with running_stack(environment={**batches.limits(requests), **NO_STANDBY}) as stack:
        yield stack


@contextmanager
def observed(requests: int, share: float) -> Iterator[Observed]:
    with receiving_traces() as received:
        environment = {
            **batches.limits(requests),
            **NO_STANDBY,
            "VBATCH_OTLP_ENDPOINT": received.url,
            "VBATCH_OTLP_LOGS_ENDPOINT": received.url,
            "VBATCH_RESULTS_TRACE_REQUESTS_SHARE": str(share),
        }
        with running_stack(environment=environment) as stack:
            yield Observed(stack, received)


def in_turn(off: Measure, on: Measure, pairs: int) -> Iterator[Pair]:
    """The first batch of each stack pays for its cold start and is not compared."""
    off()
    on()
    for place in range(pairs):
        pair = Pair(off(), on()) if place % 2 == 0 else turned(off, on)
        sys.stdout.write(f"off {pair.off[RATE]}, on {pair.on[RATE]} requests/s: {pair.ratio(RATE):.3f}\n")
        sys.stdout.flush()
        yield pair


def turned(off: Measure, on: Measure) -> Pair:
    observed_first = on()
    return Pair(off(), observed_first)


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


def compared(pairs: Sequence[Pair], requests: int, share: float) -> dict[str, report.Figure]:
    """The medians of each side, and of the ratios within each pair with the lowest and the highest of them."""
    figures: dict[str, report.Figure] = {"requests": requests, "pairs": len(pairs), "share_traced": share}
    for name in COMPARED:
        figures[f"off_{name}"] = round(median(number(pair.off, name) for pair in pairs), 3)
        figures[f"on_{name}"] = round(median(number(pair.on, name) for pair in pairs), 3)
    return {
        **figures,
        **spread("throughput_kept", [pair.ratio(RATE) for pair in pairs]),
        "throughput_kept_goal": GOAL,
        **spread("cpu_ratio", [pair.ratio(CPU) for pair in pairs]),
        "scrapes": median(number(pair.on, "scrapes") for pair in pairs),
    }


def spread(name: str, ratios: Sequence[float]) -> dict[str, report.Figure]:
    return {
        name: round(median(ratios), 4),
        f"{name}_lowest": round(min(ratios), 4),
        f"{name}_highest": round(max(ratios), 4),
    }


def number(figures: Figures, name: str) -> float:
    found = figures[name]
    assert isinstance(found, int | float), f"{name} is {found}"
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--share", type=float, default=SHARE)
    given = parser.parse_args()
    sys.exit(main(given.requests, given.pairs, given.share))
