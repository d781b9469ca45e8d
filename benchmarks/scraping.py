"""What scraping costs: the batch of bench:overhead with every service scraped every 5 s, and without, alternately.

python -m benchmarks.scraping [--requests 50000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from benchmarks import batches, report
from benchmarks.overhead import LINE_BYTES, NO_STANDBY, REQUESTS, measure
from tests.support.stack import RunningStack, running_stack
from vbatch.local.programs import SERVICES

INTERVAL_SECONDS = 5.0
ANSWER_SECONDS_MAX = 10.0
ROUNDS = 3
ACCEPT = {"Accept": "application/openmetrics-text;version=1.0.0"}
"""The header that Prometheus sends."""
COMPARED = ("requests_per_second", "cpu_ms_per_request")


class Scraper:
    """Asks each service for its metrics at once and then every INTERVAL_SECONDS, in its own thread."""

    def __init__(self, stack: RunningStack) -> None:
        ports = (getattr(stack.settings, service.port) for service in SERVICES)
        self._urls = [f"http://127.0.0.1:{port}/metrics" for port in ports]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seconds: list[float] = []
        self.series_count = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.series_count = sum(self._scrape(url) for url in self._urls)
            self._stop.wait(INTERVAL_SECONDS)

    def _scrape(self, url: str) -> int:
        """How many series the service returned."""
        began = time.monotonic()
        with urllib.request.urlopen(urllib.request.Request(url, headers=ACCEPT), timeout=ANSWER_SECONDS_MAX) as answer:
            lines = answer.read().splitlines()
        self.seconds.append(time.monotonic() - began)
        return sum(not line.startswith(b"#") for line in lines)


def main(requests: int, rounds: int) -> int:
    environment = {**batches.limits(requests), **NO_STANDBY}
    with tempfile.TemporaryDirectory() as folder, running_stack(environment=environment) as stack:
        path = Path(folder) / "in.jsonl"
        with path.open("wb") as file:
            file.writelines(batches.lines(requests, LINE_BYTES))
        figures = compare(stack, path, requests, rounds)
    target = report.write("scraping", ["python", "-m", "benchmarks.scraping", f"--requests {requests}"], figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def compare(stack: RunningStack, path: Path, requests: int, rounds: int) -> dict[str, report.Figure]:
    measure(stack, path, requests)  # the first batch pays for the cold start and is not compared
    alone: list[dict[str, report.Figure]] = []
    watched: list[dict[str, report.Figure]] = []
    scraper = Scraper(stack)
    for _ in range(rounds):
        for found, watching in ((alone, nullcontext()), (watched, scraper := Scraper(stack))):
            with watching:
                found.append(measure(stack, path, requests))
    return {
        "requests": requests,
        "rounds": rounds,
        "series": scraper.series_count,
        "scrape_ms_median": round(1_000 * median(scraper.seconds), 1),
        "scrape_ms_max": round(1_000 * max(scraper.seconds), 1),
        **{f"{name}_alone": _middle(alone, name) for name in COMPARED},
        **{f"{name}_scraped": _middle(watched, name) for name in COMPARED},
    }


def _middle(found: list[dict[str, report.Figure]], name: str) -> float:
    values = [value for figures in found if isinstance(value := figures[name], int | float)]
    return round(median(values), 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    sys.exit(main(arguments.requests, arguments.rounds))
