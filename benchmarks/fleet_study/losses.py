"""How long requests stand still when their replica is killed, and how fast the stack is where replicas cost nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
from openai import OpenAI
from openai.types import Batch

from benchmarks import batches
from benchmarks.fleet_study.runs import MODEL, Part, Run, run, stack_before, varied, wait_for_answers
from benchmarks.fleet_study.shares import MEAN_SECONDS, REPLICAS, SEQS, SPEED
from benchmarks.overhead import ENGINE, sampler_of
from benchmarks.report import Figures
from tests.support.fleet import Server, servers
from tests.support.stack import RunningStack

KILLS = 3
SECONDS = 40
OWN_REQUESTS, OWN_LINE_BYTES, OWN_REPLICAS, OWN_SEQS, OWN_ROUNDS = 50_000, 500, 2, 256, 3


@dataclass(frozen=True)
class Kill:
    """When a replica was killed, in seconds since 1970, and the requests that it had inside."""

    at: float
    inside: frozenset[str]


def losses(folder: Path) -> Part:
    """Kill one replica after the other in the middle of a batch; each comes back before the next is killed."""
    requests = int(REPLICAS * SECONDS * SEQS / MEAN_SECONDS)
    kills: list[Kill] = []
    with servers(folder, REPLICAS, *SPEED) as made, stack_before(made, SEQS, folder) as stack:

        def disturb(client: OpenAI, batch: Batch) -> None:
            for number, server in enumerate(made[:KILLS], 1):
                wait_for_answers(client, batch, requests * number // (KILLS + 2))
                kills.append(_killed(server))
                server.start()

        done = run(stack, varied(requests), disturb)
        figures = {
            "replica_loss_stall_seconds": round(max(_seconds_until_elsewhere(kill, made) for kill in kills), 3),
            "replica_loss_pause_seconds_max": round(max(_longest_pause(kill, made) for kill in kills), 3),
            "replica_loss_requests_inside": sum(len(kill.inside) for kill in kills),
            "replica_losses": len(kills),
        }
    return Part(figures, [done])


def _killed(server: Server) -> Kill:
    at = time.time()
    server.kill()
    return Kill(at, frozenset(server.order("started")) - frozenset(server.order("answered")))


def _seconds_until_elsewhere(kill: Kill, made: Sequence[Server]) -> float:
    """Seconds until the last request that the replica had inside was started again."""
    first: dict[str, float] = {}
    for at, name in sorted(note for server in made for note in server.notes("started")):
        if at > kill.at and name in kill.inside:
            first.setdefault(name, at)
    return max(first[name] for name in kill.inside) - kill.at


def _longest_pause(kill: Kill, made: Sequence[Server]) -> float:
    """Seconds between two answers of the fleet, the longest in the five seconds around the kill."""
    times = sorted(at for server in made for at in server.times("answered") if -1 < at - kill.at < 4)
    return max(later - sooner for sooner, later in pairwise(times))


def own_pipeline(folder: Path) -> Part:
    """The rate of the best batch where every answer comes at once: other work on the machine can only lower it."""
    bodies = list(_bodies())
    with servers(folder, OWN_REPLICAS, "--max-num-seqs", f"{OWN_SEQS}") as made:
        for server in made:
            server.has_work_log = False
        with stack_before(made, OWN_SEQS, folder) as stack:
            rounds = [_round(stack, made, bodies) for _ in range(OWN_ROUNDS)]
    best, figures = max(rounds, key=lambda each: each[0].rate)
    rates = [round(done.rate) for done, _ in rounds]
    by_round: dict[str, Figures] = {"own_pipeline_requests_per_second_by_round": rates}
    return Part(
        {"own_pipeline_requests_per_second": round(best.rate), **by_round, **figures}, [done for done, _ in rounds]
    )


def _round(stack: RunningStack, made: Sequence[Server], bodies: Sequence[bytes]) -> tuple[Run, Mapping[str, float]]:
    """One batch, and the milliseconds of processor time that a request took in each part."""
    before = _cpu_seconds(made)
    with sampler_of(stack) as sampler:
        done = run(stack, bodies)
    spent = {"replicas": _cpu_seconds(made) - before, "gpu_runner": sampler.cpu_seconds["gpu-runner"]}
    spent["server"] = sum(seconds for name, seconds in sampler.cpu_seconds.items() if name != ENGINE)
    return done, {
        f"own_pipeline_cpu_ms_per_request_{part}": round(1_000 * seconds / len(bodies), 3)
        for part, seconds in spent.items()
    }


def _cpu_seconds(made: Sequence[Server]) -> float:
    times = [psutil.Process(server.process.pid).cpu_times() for server in made if server.process is not None]
    return sum(each.user + each.system for each in times)


def _bodies() -> Iterator[bytes]:
    """The requests of `bench:overhead`, for this model."""
    for line in batches.lines(OWN_REQUESTS, OWN_LINE_BYTES, MODEL):
        yield line[line.index(b'"body": ') + len(b'"body": ') : -2]
