"""Breaks things while the weather is bad: kills processes, pauses them, asks them to stop, and makes zombies."""

from __future__ import annotations

import asyncio
from enum import StrEnum

from tests.simulation.processes import Life, Machine


class Deed(StrEnum):
    KILL = "kill"
    PAUSE = "pause"
    FREEZE = "freeze"
    ZOMBIE = "zombie"
    STOP = "stop"


DEEDS = (*(Deed.KILL,) * 3, Deed.PAUSE, *(Deed.FREEZE,) * 2, *(Deed.ZOMBIE,) * 2, Deed.STOP)
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.4, 4.0
"""The shortest freeze outlasts the grace that a cancelled batch gives its runner."""


async def rage(machine: Machine) -> None:
    """Run forever; how often it strikes depends on the seed."""
    random, violence = machine.weather.random, machine.weather.violence
    if not violence:
        return
    while True:
        await asyncio.sleep(random.expovariate(violence))
        life = random.choice(list(machine.current.values()))
        if not life.lane.is_dead:
            _strike(machine, life)


def _strike(machine: Machine, life: Life) -> None:
    random = machine.weather.random
    match random.choice(DEEDS):
        case Deed.PAUSE:
            machine.pause(life, random.random() * PAUSE_SECONDS_MAX)
        case Deed.FREEZE:
            freeze(machine)
        case Deed.ZOMBIE:
            machine.replace(life, random.random() * PAUSE_SECONDS_MAX)
        case Deed.STOP:
            machine.tell(f"{life.service} {life.pid} is asked to stop")
            life.stop.request("asked to by the simulation")
        case Deed.KILL:
            machine.kill(life)


def meet_cancel(machine: Machine) -> None:
    """Called before a cancel is told: the moment at which ends and late answers meet."""
    if machine.weather.strikes(machine.weather.freeze_at_cancel):
        freeze(machine)


def freeze(machine: Machine) -> None:
    """Pause all processes except the scheduler, results the longest: batches end before what is on its way arrives."""
    seconds = PAUSE_SECONDS_MIN + machine.weather.random.random() * PAUSE_SECONDS_MAX / 2
    for life in list(machine.current.values()):
        if life.service != "scheduler" and not life.lane.is_dead:
            machine.pause(life, seconds * (2 if life.service == "results" else 1))
