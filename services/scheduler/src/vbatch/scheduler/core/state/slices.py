"""The slices on runners, by their id, by runner and by batch. The indexes keep a decision from looking at the slices of
all runners for each runner."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import TypeVar

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, RunnerId, SliceId
from vbatch.scheduler.core.state.pending_batch import Waiting

Key = TypeVar("Key", RunnerId, BatchId)


@dataclass(frozen=True, slots=True)
class Slice:
    """Requests on a runner; `lines` are the requests that were not answered, with their history."""

    event: e.BatchDispatched
    lines: dict[int, Waiting]

    @property
    def is_suspect(self) -> bool:
        return any(waiting.deaths for waiting in self.lines.values())


Members = dict[SliceId, Slice]
"""Some slices, in the order in which they were sent."""


@dataclass(eq=False, slots=True)
class Slices(MutableMapping[SliceId, Slice]):
    """A mapping that also answers which slices a runner holds, and which belong to a batch, each oldest first. The
    runner and the batch of a slice never change."""

    _all: Members = field(default_factory=dict)
    _by_runner: dict[RunnerId, Members] = field(default_factory=dict)
    _by_batch: dict[BatchId, Members] = field(default_factory=dict)

    def of_runner(self, runner_id: RunnerId) -> list[Slice]:
        return list(self._by_runner.get(runner_id, {}).values())

    def of_batch(self, batch_id: BatchId) -> list[Slice]:
        return list(self._by_batch.get(batch_id, {}).values())

    def __getitem__(self, slice_id: SliceId) -> Slice:
        return self._all[slice_id]

    def __setitem__(self, slice_id: SliceId, slice_: Slice) -> None:
        if slice_id in self._all:
            del self[slice_id]
        self._all[slice_id] = slice_
        self._by_runner.setdefault(slice_.event.runner_id, {})[slice_id] = slice_
        self._by_batch.setdefault(slice_.event.batch_id, {})[slice_id] = slice_

    def __delitem__(self, slice_id: SliceId) -> None:
        slice_ = self._all.pop(slice_id)
        _remove(self._by_runner, slice_.event.runner_id, slice_id)
        _remove(self._by_batch, slice_.event.batch_id, slice_id)

    def __iter__(self) -> Iterator[SliceId]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def _remove(index: dict[Key, Members], key: Key, slice_id: SliceId) -> None:
    """Runners and batches come and go, so an empty entry is removed, too."""
    members = index[key]
    del members[slice_id]
    if not members:
        del index[key]
