"""Which answers in the blob store have not been checked yet: those whose epoch is not marked as swept."""

from __future__ import annotations

from collections.abc import Iterable

from vbatch.contracts import events as e
from vbatch.contracts.answers import epoch_of, swept_mark


def unswept(blobs: Iterable[str]) -> dict[int, set[str]]:
    """The answers of each epoch that is not marked as swept."""
    lives: dict[int, set[str]] = {}
    for blob in blobs:
        if (epoch := epoch_of(blob)) is not None:
            lives.setdefault(epoch, set()).add(blob)
    return {epoch: answers for epoch, answers in lives.items() if swept_mark(epoch) not in answers}


def referred(chunk: e.ChunkCompleted) -> set[str]:
    """The blobs in which this chunk has answers, whether they count or not: a rebuild reads them all."""
    return {outcome.body_blob for outcome in chunk.outcomes if outcome.body_blob is not None}
