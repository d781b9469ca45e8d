"""A stack with a small log runs batch after batch that together are larger than the log, and nobody lends a hand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.asking import Line, chat_line, jsonl, submit, wait_for_end
from tests.support.stack import RunningStack, kill, running_stack, wait_until
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Unavailable
from vbatch.local.log_access import log_settings

MIB = 1 << 20
SERVICES = ("gateway", "scheduler", "results")
LOOK_SECONDS = 0.25
START_SECONDS_MAX = 120.0
REBUILD_SECONDS_MAX = 1800.0


@dataclass(frozen=True)
class Plan:
    """`answer_bytes` is the length of the text of each answer, or what the engine says by itself."""

    batches: int = 20
    requests: int = 50_000
    log_mib: int = 256
    answer_bytes: int | None = None
    sweep_seconds: float = 30.0
    batch_seconds_max: float = 1800.0


@dataclass
class Report:
    """`start_seconds` are those of each service after the first batch and after the last."""

    plan: Plan
    appended_mib: float = 0.0
    fullest_mib: float = 0.0
    batch_seconds: list[float] = field(default_factory=list)
    start_seconds: dict[str, list[float]] = field(default_factory=dict)
    archive_count: int = 0
    faults: list[str] = field(default_factory=list)
    rebuild_seconds: float = 0.0
    is_equal: bool = False


def live(plan: Plan) -> Report:
    """Run the plan on a stack of its own."""
    environment = {
        "VBATCH_LOG_BYTES_MAX": str(plan.log_mib * MIB),
        "VBATCH_RESULTS_SWEEP_SECONDS": str(plan.sweep_seconds),
        "VBATCH_LOCAL_READY_SECONDS_MAX": "120",
    }
    with running_stack(environment=environment) as stack:
        report = Report(plan)
        with _watched(stack, report):
            for number in range(plan.batches):
                _run_batch(stack, report, number)
                if number in (0, plan.batches - 1):
                    _restart_services(stack, report)
            _rebuild(stack, report)
        report.archive_count = sum(1 for _ in (stack.home / "blobs" / "archives").glob("*.zst"))
        return report


def _run_batch(stack: RunningStack, report: Report, number: int) -> None:
    plan, client, started = report.plan, stack.client(), time.monotonic()
    batch = submit(client, jsonl(_lines(plan)))
    done = wait_for_end(client, batch.id, plan.batch_seconds_max)
    counts = done.request_counts
    if (done.status, counts and counts.completed) != ("completed", plan.requests):
        report.faults.append(f"batch {number} is {done.status}: {counts}")
    report.batch_seconds.append(round(time.monotonic() - started, 1))


def _lines(plan: Plan) -> Iterator[Line]:
    for number in range(plan.requests):
        line = chat_line(number)
        if plan.answer_bytes is not None:
            line["body"]["simulate"] = {"answer_bytes": plan.answer_bytes}
        yield line


def _restart_services(stack: RunningStack, report: Report) -> None:
    """Seconds from the end of each process until the next one of its name is ready."""
    for name in SERVICES:
        before, started = stack.process(name), time.monotonic()
        kill(before)
        wait_until(lambda name=name, before=before: _is_back(stack, name, before.pid), name, START_SECONDS_MAX)  # type: ignore[misc]
        report.start_seconds.setdefault(name, []).append(round(time.monotonic() - started, 1))


def _is_back(stack: RunningStack, name: str, before: int) -> bool:
    found = next(each for each in stack.stack.status().services if each.name == name)
    return found.is_ready and found.pid not in (None, before)


def _rebuild(stack: RunningStack, report: Report) -> None:
    argv, started = [sys.executable, "-m", "vbatch.cli", "rebuild", "--verify"], time.monotonic()
    environment = os.environ | dict(stack.environment)
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=False, timeout=REBUILD_SECONDS_MAX
    )
    report.rebuild_seconds = round(time.monotonic() - started, 1)
    report.is_equal = done.returncode == 0
    if done.returncode:
        report.faults.append(f"rebuild: {done.stdout}{done.stderr}")


@contextmanager
def _watched(stack: RunningStack, report: Report) -> Iterator[None]:
    """Within the block the fill of the log is looked at all the time."""
    over = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_watch(stack, report, over)), name="fill")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def _watch(stack: RunningStack, report: Report, over: threading.Event) -> None:
    """What is appended is the sum of what the log grew by between two looks, so a little less than the truth."""
    async with connect(log_settings(stack.settings, "watch")) as journal:
        before = (await journal.log.fill()).bytes
        while not over.is_set():
            try:
                now = (await journal.log.fill()).bytes
            except Unavailable:
                continue
            report.fullest_mib = max(report.fullest_mib, round(now / MIB, 1))
            report.appended_mib = round(report.appended_mib + max(0, now - before) / MIB, 3)
            before = now
            await asyncio.sleep(LOOK_SECONDS)
