"""The progress of a batch, folded from its live events by the server's own rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vbatch.client.core.live_events import ChunkSummary, LiveEvent, event_of
from vbatch.contracts import events as e
from vbatch.contracts.lifecycle import TERMINAL, BatchStatus, next_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A batch according to its events. `event_id` is the newest event's place in the log."""

    status: BatchStatus = BatchStatus.VALIDATING
    total: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    faults: Sequence[e.BatchFault] = ()
    event_id: int = 0

    @property
    def answered(self) -> int:
        return self.completed + self.failed

    @property
    def is_over(self) -> bool:
        return self.status in TERMINAL


class ProgressFold:
    """Folds the events of one batch, from its first one on, in the order of the log."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._answered: set[int] = set()

    def apply(self, record: LiveEvent) -> Progress:
        """Return the progress after the event. An event that this client does not know changes only `event_id`: the
        server may be newer."""
        after = self._after(event_of(record))
        self.progress = replace(after, event_id=max(after.event_id, record.id))
        return self.progress

    def _after(self, event: e.AnyEvent | ChunkSummary | None) -> Progress:
        match event:
            case None:
                return self.progress
            case ChunkSummary():
                return self._counted(event)
            case e.BatchValidated():
                after = replace(self.progress, total=event.total)
            case e.BatchRejected():
                after = replace(self.progress, faults=event.faults)
            case e.BatchSealed():
                after = _sealed(self.progress, event)
            case _:
                after = self.progress
        return replace(after, status=next_status(after.status, event))

    def _counted(self, chunk: ChunkSummary) -> Progress:
        """Return the progress after a chunk. A chunk whose lines all have outcomes changes nothing: the first outcome
        counts. The end gives the exact counts."""
        if self._answered.issuperset(chunk.lines):
            return self.progress
        self._answered.update(chunk.lines)
        return replace(
            self.progress,
            completed=self.progress.completed + chunk.succeeded,
            failed=self.progress.failed + chunk.failed,
            input_tokens=self.progress.input_tokens + chunk.usage.input_tokens,
            output_tokens=self.progress.output_tokens + chunk.usage.output_tokens,
        )


def _sealed(progress: Progress, event: e.BatchSealed) -> Progress:
    return replace(
        progress,
        total=event.counts.total,
        completed=event.counts.completed,
        failed=event.counts.failed,
        input_tokens=event.usage.input_tokens,
        output_tokens=event.usage.output_tokens,
    )
