"""Which runners are drained: folded from the log, parsed from requests, and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.lane import DeviceProcess
from vbatch.gateway.core.keys import REASON_CHARS_MAX
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.core.shapes import bounded_string, json_object, string

STOPPED = "stopped"
"""The state of a runner without a process, in the read model."""


@dataclass(frozen=True, slots=True)
class Drained:
    """A drain that is in force; `done_at` is None while something is still inside the runner's engine."""

    goal: e.DrainGoal
    at: datetime
    by: str
    reason: str
    sequence: int
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunnerDrains:
    """The drains in force, by runner."""

    _drains: dict[RunnerId, Drained] = field(default_factory=dict)

    def evolve(self, event: e.AnyEvent, sequence: int) -> None:
        """Fold one event; events about other subjects change nothing."""
        match event:
            case e.RunnerDrainRequested():
                drained = Drained(event.goal, event.at, event.by, event.reason, sequence)
                self._drains[event.runner_id] = drained
            case e.RunnerDrained():
                if (found := self._drains.get(event.runner_id)) and found.sequence == event.request:
                    self._drains[event.runner_id] = replace(found, done_at=event.at)
            case e.RunnerResumed():
                self._drains.pop(event.runner_id, None)
            case e.RunnerLeased():
                if (found := self._drains.get(event.runner_id)) and found.goal is e.DrainGoal.RESTART:
                    del self._drains[event.runner_id]
            case _:
                pass

    def find(self, runner_id: str) -> Drained | None:
        return self._drains.get(RunnerId(runner_id))


class DrainObject(BaseModel):
    """`goal` is what the runner does after the requests inside its engine: keep its model, unload every model, or
    restart. `done_at` is null until it has done that."""

    goal: e.DrainGoal
    requested_at: int
    by: str
    reason: str | None
    done_at: int | None


class DeviceProcessObject(BaseModel):
    """A process that holds memory of a device. `memory_bytes` is null if the driver does not tell."""

    pid: int
    name: str
    memory_bytes: int | None
    is_ours: bool


class DeviceMemoryObject(BaseModel):
    """`processes` is null for a runner that does not answer, or whose device has no driver that tells."""

    object: Literal["runner.memory"] = "runner.memory"
    runner_id: str
    processes: list[DeviceProcessObject] | None


class DeviceMemoryList(BaseModel):
    object: Literal["list"] = "list"
    data: list[DeviceMemoryObject]


def drain_view(drained: Drained | None) -> DrainObject | None:
    if drained is None:
        return None
    return DrainObject(
        goal=drained.goal,
        requested_at=int(drained.at.timestamp()),
        by=drained.by,
        reason=drained.reason or None,
        done_at=None if drained.done_at is None else int(drained.done_at.timestamp()),
    )


def memory_view(told: Mapping[RunnerId, tuple[DeviceProcess, ...] | None]) -> DeviceMemoryList:
    return DeviceMemoryList(data=[_memory(runner_id, found) for runner_id, found in sorted(told.items())])


def _memory(runner_id: RunnerId, found: tuple[DeviceProcess, ...] | None) -> DeviceMemoryObject:
    processes = None if found is None else [_process(process) for process in found]
    return DeviceMemoryObject(runner_id=runner_id, processes=processes)


def _process(found: DeviceProcess) -> DeviceProcessObject:
    return DeviceProcessObject(pid=found.pid, name=found.name, memory_bytes=found.memory_bytes, is_ours=found.is_ours)


def no_such_runner(runner_id: str) -> Refusal:
    return Refusal(Reason.NO_SUCH_RUNNER, f"No runner found with id '{runner_id}'.", "runner_id")


def not_running(runner_id: str) -> Refusal:
    words = f"The runner '{runner_id}' has no process to restart. Its supervisor starts it, or `vbatch up`."
    return Refusal(Reason.RUNNER_NOT_RUNNING, words, "runner_id")


def read_drain_reason(raw: bytes) -> str:
    """Return the reason for draining a runner; the body may be empty. Raises Refusal."""
    reason = json_object(raw, required=(), optional=("reason",)).get("reason") if raw else None
    return bounded_string(string(reason, "reason"), "reason", REASON_CHARS_MAX) if reason is not None else ""
