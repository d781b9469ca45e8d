"""Where an answer lies that is too large for a chunk: in a blob whose name says which life of a runner put it there."""

from __future__ import annotations

from vbatch.contracts.ids import SliceId

ANSWERS = "answers"
"""The folder of them all in the blob store."""
SWEPT = "swept"


def answer_blob(epoch: int, slice_id: SliceId, line: int) -> str:
    """No other try of the line can touch it: the next one is on another slice, or in another life."""
    return f"{ANSWERS}/{epoch}/{slice_id}/{line}"


def swept_mark(epoch: int) -> str:
    """An empty blob beside the answers of a life: each of those that are left is referred to by an event."""
    return f"{ANSWERS}/{epoch}/{SWEPT}"


def epoch_of(blob: str) -> int | None:
    """Of the life that wrote the answer, or that is marked; None for a blob with another name."""
    folder, _, rest = blob.partition("/")
    epoch, _, name = rest.partition("/")
    return int(epoch) if folder == ANSWERS and epoch.isdecimal() and name else None
