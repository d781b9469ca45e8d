"""What can be done to a running stack, and how often: drawn by seed."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

import psutil

from tests.chaos.disks import DISKS
from vbatch.chassis.failpoints import Failpoint


class Means(StrEnum):
    KILL = "kill"
    TERM = "term"
    FREEZE = "freeze"
    RIVAL = "rival"
    CUT = "cut"
    SILENCE = "silence"
    FULL = "full"
    DISK = "disk"
    STEP = "step"


SERVICES = ("gateway", "scheduler", "gpu-runner", "results")
SUPERVISED = (*SERVICES, "nats", "postgres")
RIVALS = ("scheduler", "gpu-runner", "results")
LOG_VICTIMS = ("nats", "nats-disk")
CLOCK = "clock"
REBUILD = "rebuild"

VICTIMS: dict[Means, tuple[str, ...]] = {
    Means.KILL: (*SUPERVISED, "engine", "guard", "backend"),
    Means.TERM: SUPERVISED,
    Means.FREEZE: (*SUPERVISED, "engine", "guard"),
    Means.RIVAL: RIVALS,
    Means.CUT: ("postgres", *SERVICES),
    Means.SILENCE: SERVICES,
    Means.FULL: ("gateway", "results"),
    Means.DISK: tuple(DISKS),
    Means.STEP: (CLOCK,),
}
"""Cut and silence: PostgreSQL's connections, or the way of one service to the log."""
SHARES = {
    Means.KILL: 41,
    Means.TERM: 10,
    Means.FREEZE: 12,
    Means.RIVAL: 10,
    Means.CUT: 7,
    Means.SILENCE: 5,
    Means.FULL: 5,
    Means.DISK: 5,
    Means.STEP: 5,
}
PLACE_SHARE = 0.4
STRUCK_ELSEWHERE = ("notifier", "labeler")
"""Processes with campaigns of their own: integration/notifier/test_kills.py and labeling/test_campaign.py."""
OF_MODEL_JUDGES = (Failpoint.VERDICTS_READ, Failpoint.VERDICTS_RECORDED)
"""Struck by tests/integration/results/test_evaluating.py."""
PLACES = tuple(place for place in Failpoint if place.process not in STRUCK_ELSEWHERE and place not in OF_MODEL_JUDGES)
"""A campaign's work has no webhooks, no labelings and no evaluations."""
PLACE_SHARES = {Means.KILL: 60, Means.FREEZE: 15, Means.RIVAL: 15, Means.TERM: 10}
SIGNALS = {
    Means.KILL: signal.SIGKILL,
    Means.TERM: signal.SIGTERM,
    Means.FREEZE: signal.SIGSTOP,
    Means.RIVAL: signal.SIGSTOP,
}


@dataclass(frozen=True)
class Fault:
    """Done at once, or when the victim comes to `place`."""

    means: Means
    victim: str
    place: Failpoint | None = None

    @property
    def takes_the_log_away(self) -> bool:
        """From the runner, for a while."""
        return self.victim in LOG_VICTIMS or (self.means in (Means.CUT, Means.SILENCE) and self.victim == "gpu-runner")

    def __str__(self) -> str:
        return f"{self.means} {self.victim}" + (f" at {self.place}" if self.place else "")


@dataclass(frozen=True)
class Done:
    """A fault that was done: when it was over, which processes must be gone soon, and which must end by itself."""

    fault: Fault
    at: float
    doomed: list[psutil.Process] = field(default_factory=list)
    restarts: bool = False
    ending: subprocess.Popen[bytes] | None = None


def draw(random: Random) -> Fault:
    means = random.choices(list(SHARES), list(SHARES.values()))[0]
    return Fault(means, random.choice(VICTIMS[means]))


def engine_kills(random: Random) -> Iterator[Fault]:
    """For ever: the engine, or the runner that holds it."""
    while True:
        yield Fault(Means.KILL, random.choice(("engine", "gpu-runner")))


def at_place(random: Random, place: Failpoint) -> Fault:
    kinds = [means for means in PLACE_SHARES if means is not Means.RIVAL or place.process in RIVALS]
    means = random.choices(kinds, [PLACE_SHARES[kind] for kind in kinds])[0]
    return Fault(means, place.process, place)


def deck(random: Random) -> Iterator[Fault]:
    """For ever. Places come in rounds, so that a long campaign strikes at every one of them."""
    places: list[Failpoint] = []
    while True:
        if random.random() >= PLACE_SHARE:
            yield draw(random)
            continue
        places = places or random.sample(PLACES, len(PLACES))
        yield at_place(random, places.pop())
