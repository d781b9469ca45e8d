"""How long requests stand still when their replica is killed, and how fast the stack is where replicas cost nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from openai import OpenAI
from openai.types import Batch

from benchmarks import batches
from benchmarks.fleet_study.runs import MODEL, Part, run, stack_before, varied, wait_for_answers
from benchmarks.fleet_study.shares import MEAN_SECONDS, REPLICAS, SEQS, SPEED
from tests.support.fleet import Server, servers

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
            runs = [run(stack, bodies) for _ in range(OWN_ROUNDS)]
    rates = sorted(round(done.rate) for done in runs)
    return Part({"own_pipeline_requests_per_second": rates[-1], "own_pipeline_requests_per_second_all": rates}, runs)


def _bodies() -> Iterator[bytes]:
    """The requests of `bench:overhead`, for this model."""
    for line in batches.lines(OWN_REQUESTS, OWN_LINE_BYTES, MODEL):
        yield line[line.index(b'"body": ') + len(b'"body": ') : -2]
