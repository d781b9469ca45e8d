"""Where an answer lies that is too large for a chunk: in a blob whose name says which life of a runner put it there.

Once the file that holds the answer is deleted or has expired, a note takes its place under the same name: the log still
refers to it, and a rebuild needs to know how long the answer was.
"""

from __future__ import annotations

from vbatch.contracts.ids import BatchId, OutputKind, SliceId

ANSWERS = "answers"
"""The folder of them all in the blob store."""
SWEPT = "swept"
REMOVED = "removed"
REMOVAL_NOTE = b"#removed "
"""No JSON document begins like this."""
REMOVAL_NOTE_BYTES_MAX = 64


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


def removed_mark(batch_id: BatchId, kind: OutputKind) -> str:
    """An empty blob: every large answer that stood in this file of the batch has been removed."""
    return f"{ANSWERS}/{REMOVED}/{batch_id}_{kind}"


def removal_note(body_bytes: int) -> bytes:
    """What takes the place of an answer of so many bytes, counted as they stand in an output line."""
    return REMOVAL_NOTE + b"%d" % body_bytes


def removed_bytes(content: bytes) -> int | None:
    """How long the answer was whose place this note took; None for an answer."""
    digits = content.removeprefix(REMOVAL_NOTE)
    return int(digits) if len(content) <= REMOVAL_NOTE_BYTES_MAX and digits != content and digits.isdigit() else None


def stand_in(body_bytes: int) -> bytes:
    """A JSON document of so many bytes, at least 2, that a rebuild puts where an answer was removed."""
    return b'"' + b"-" * (body_bytes - 2) + b'"'
