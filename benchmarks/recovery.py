"""`python -m benchmarks.recovery`: how long each process of an idle stack takes to be ready again after kill -9."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import asdict, dataclass

import psutil

from benchmarks import report
from tests.support.stack import RunningStack, running_stack
from vbatch.local.probes import NotYet
from vbatch.local.programs import Program, programs
from vbatch.local.supervisor import STABLE_SECONDS

ROUNDS = 5
READY_SECONDS_MAX = 60.0
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Recovery:
    """`started_seconds` is the time until the next process existed, `ready_seconds` until it was ready; the CPU time is
    what it and its children had used by then."""

    started_seconds: float
    ready_seconds: float
    cpu_seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="kills of each process")
    rounds = parser.parse_args().rounds
    figures: dict[str, report.Figure] = {"rounds": rounds, "load_average": round(psutil.getloadavg()[0], 1)}
    with running_stack() as stack:
        for program in programs(stack.settings):
            figures |= _summary(program.name, [_killed(stack, program) for _ in range(rounds)])
    target = report.write("recovery", ["python", "-m", "benchmarks.recovery", f"--rounds {rounds}"], figures)
    for name, figure in figures.items():
        sys.stdout.write(f"{name:<40} {figure}\n")
    sys.stdout.write(f"written to {target}\n")
    return 0


def _killed(stack: RunningStack, program: Program) -> Recovery:
    """Kill a program and time its recovery. Supervisord is not queried meanwhile: a query would wake it."""
    stack.wait_until_ready()
    supervisor = psutil.Process(stack.stack.status().supervisor_pid)
    victim = stack.process(program.name)
    known = set(supervisor.children())
    time.sleep(STABLE_SECONDS + 1.0)  # a process that dies in its first moments is restarted later
    victim.kill()
    began = time.monotonic()
    _await_successor(supervisor, known)
    started = time.monotonic() - began
    _await_ready(program)
    return Recovery(started, time.monotonic() - began, _cpu_seconds(stack.process(program.name)))


def _await_successor(supervisor: psutil.Process, known: set[psutil.Process]) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not set(supervisor.children()) - known:
        assert time.monotonic() < deadline, "nothing was started again"
        time.sleep(POLL_SECONDS)


def _await_ready(program: Program) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            program.probe()
            return
        except NotYet:
            assert time.monotonic() < deadline, f"{program.name} is not ready"
            time.sleep(POLL_SECONDS)


def _cpu_seconds(process: psutil.Process) -> float:
    times = [each.cpu_times() for each in [process, *process.children(recursive=True)]]
    return sum(time.user + time.system for time in times)


def _summary(name: str, recoveries: list[Recovery]) -> dict[str, report.Figure]:
    figures: dict[str, report.Figure] = {}
    for figure in asdict(recoveries[0]):
        values = [asdict(recovery)[figure] for recovery in recoveries]
        figures[f"{name}_median_{figure}"] = round(statistics.median(values), 2)
        figures[f"{name}_max_{figure}"] = round(max(values), 2)
    return figures


if __name__ == "__main__":
    sys.exit(main())
