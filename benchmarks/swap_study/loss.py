"""Batches for two models in turn, each causing a swap: which lines were lost or duplicated, and what the swaps left
behind."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field

import psutil
from openai import OpenAI

from benchmarks.swap_study.models import Contender, Pair
from tests.e2e.asking import ended, jsonl, submit
from tests.support.stack import RunningStack

LINES = 4
END_SECONDS_MAX = 900.0
SETTLED_AFTER_SWAPS = 4
"""After this many swaps, every library has loaded what it loads once."""
QUIET_SECONDS, QUIET_SECONDS_MAX = 1.0, 60.0
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Belongings:
    """The resources of a runner while nothing starts or ends."""

    processes: int
    descriptors: int
    sockets: int
    resident_bytes: int


@dataclass
class Tally:
    swaps: int = 0
    lost: int = 0
    repeated: int = 0
    first_answer_seconds: list[float] = field(default_factory=list)
    began: Belongings | None = None
    ended: Belongings | None = None

    def more(self, name: str) -> int:
        """How many more of a resource there are at the end than at the beginning."""
        assert self.began is not None and self.ended is not None
        return int(getattr(self.ended, name)) - int(getattr(self.began, name))


def swap_in_turn(stack: RunningStack, pair: Pair, swaps: int) -> Tally:
    """Swap in turn. The first load is not a swap and is not counted."""
    tally = Tally()
    with stack.client() as client:
        _batch(client, pair.turn(0), tally)
        while tally.swaps < swaps:
            tally.swaps += 1
            _batch(client, pair.turn(tally.swaps), tally)
            tally.first_answer_seconds.append(_first_answer_seconds(stack))
            if tally.swaps == min(SETTLED_AFTER_SWAPS, swaps):
                tally.began = _belongings(stack)
    tally.ended = _belongings(stack)
    return tally


def _batch(client: OpenAI, contender: Contender, tally: Tally) -> None:
    lines = [contender.line(number) for number in range(LINES)]
    made = submit(client, jsonl(lines), contender.endpoint)
    found = Counter(ended(client, made.id, END_SECONDS_MAX).custom_ids)
    tally.lost += sum(line["custom_id"] not in found for line in lines)
    tally.repeated += sum(found.values()) - len(found)


def _first_answer_seconds(stack: RunningStack) -> float:
    """The runner's measurement from the last request fed to the first answer of the model that answered last."""
    port = stack.settings.gpu_runner_port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("vbatch_runner_swap_first_answer_seconds "))


def _belongings(stack: RunningStack) -> Belongings:
    """Wait until two looks agree: a standby imports for a while, and an engine that ends takes a moment."""
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    before, now = None, _look(stack)
    while before is None or (before.processes, before.descriptors) != (now.processes, now.descriptors):
        if time.monotonic() > deadline:
            break
        time.sleep(QUIET_SECONDS)
        before, now = now, _look(stack)
    return now


def _look(stack: RunningStack) -> Belongings:
    runner = stack.process("gpu-runner")
    sockets = [path for path in (stack.home / "run").glob("*/engine-*/**/*") if path.is_socket()]
    below = [process for process in runner.children(recursive=True) if process.status() != psutil.STATUS_ZOMBIE]
    return Belongings(len(below), runner.num_fds(), len(sockets), runner.memory_info().rss)
