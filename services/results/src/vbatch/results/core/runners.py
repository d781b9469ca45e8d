"""What a runner is doing, as the operator sees it. An event of an older epoch has no effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import msgspec
from msgspec.structs import replace

from vbatch.contracts import events as e
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.read_model.rows import RunnerRow

RunnerEnd = e.RunnerStopped | e.RunnerLost
RunnerMove = e.ModelLoading | e.ModelLoaded | e.ModelFailed | e.EngineCrashed | e.RunnerDrained | RunnerEnd
RowEvent = e.RunnerLeased | RunnerMove
"""The events that change a runner's row."""


def after(runners: Mapping[RunnerId, RunnerRow], sequence: int, event: RowEvent) -> RunnerRow | None:
    """The row after the event; None when the event has an older epoch or its runner has no row."""
    if isinstance(event, e.RunnerLeased):
        return _leased(sequence, event)
    row = runners.get(event.runner_id)
    return _moved(row, event) if row is not None and row.epoch == event.epoch else None


def _leased(sequence: int, event: e.RunnerLeased) -> RunnerRow:
    return RunnerRow(
        id=event.runner_id,
        epoch=sequence,
        state="idle",
        device=event.device,
        memory_bytes=event.memory_bytes,
        since=event.at,
    )


def _moved(row: RunnerRow, event: RunnerMove) -> RunnerRow:
    if isinstance(event, e.RunnerDrained) and event.goal is e.DrainGoal.KEEP:
        return row  # what is loaded stays
    row = replace(row, since=event.at, detail="")
    match event:
        case e.ModelLoading():
            profile = _json(event.profile)
            return replace(row, state="loading", model=event.model, request_window=0, profile=profile, origin=None)
        case e.ModelLoaded():
            origin = _json(event.origin)
            return replace(row, state="ready", model=event.model, request_window=event.window, origin=origin)
        case e.ModelFailed():
            return replace(row, state="failed", model=None, request_window=0, detail=event.detail)
        case e.EngineCrashed():
            return replace(row, state="crashed", model=None, request_window=0, detail=event.detail)
        case e.RunnerDrained():
            return replace(row, state="idle", model=None, request_window=0)
        case e.RunnerStopped():
            return replace(row, state="stopped", model=None, request_window=0, detail=event.reason)
        case e.RunnerLost():
            silence = f"nothing heard of it for {event.silent_seconds:.0f} s"
            return replace(row, state="stopped", model=None, request_window=0, detail=silence)
        case _:
            assert_never(event)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
