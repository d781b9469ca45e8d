"""Answers that are too large for a chunk. Each is in a blob whose name holds the epoch of the runner that wrote it.

When the file that holds the answer is deleted or expires, a note replaces the blob under the same name: the log still
refers to it, and a rebuild needs to know how long the answer was.
"""

from __future__ import annotations

from vbatch.contracts.ids import BatchId, OutputKind, SliceId

ANSWERS = "answers"
"""The folder of all these answers in the blob store."""
SWEPT = "swept"
REMOVED = "removed"
REMOVAL_NOTE = b"#removed "
"""No JSON document begins like this."""
REMOVAL_NOTE_BYTES_MAX = 64


def answer_blob(epoch: int, slice_id: SliceId, line: int) -> str:
    """Return the name of the blob of one answer. No other try of the line writes it: each belongs to another slice or
    another epoch."""
    return f"{ANSWERS}/{epoch}/{slice_id}/{line}"


def swept_mark(epoch: int) -> str:
    """Return the name of an empty blob that marks an epoch as swept: events refer to all the answers that remain beside
    it."""
    return f"{ANSWERS}/{epoch}/{SWEPT}"


def epoch_of(blob: str) -> int | None:
    """Return the epoch of the runner that wrote this answer or that this mark names; None for any other blob."""
    folder, _, rest = blob.partition("/")
    epoch, _, name = rest.partition("/")
    return int(epoch) if folder == ANSWERS and epoch.isdecimal() and name else None


def removed_mark(batch_id: BatchId, kind: OutputKind) -> str:
    """Return the name of an empty blob that marks that every large answer of this file of the batch has been
    removed."""
    return f"{ANSWERS}/{REMOVED}/{batch_id}_{kind}"


def removal_note(body_bytes: int) -> bytes:
    """Return the note that replaces an answer of `body_bytes` bytes, counted as they appear in an output line."""
    return REMOVAL_NOTE + b"%d" % body_bytes


def removed_bytes(content: bytes) -> int | None:
    """Return the length of the answer that this note replaced; None for an answer."""
    digits = content.removeprefix(REMOVAL_NOTE)
    return int(digits) if len(content) <= REMOVAL_NOTE_BYTES_MAX and digits != content and digits.isdigit() else None


def stand_in(body_bytes: int) -> bytes:
    """A JSON document of `body_bytes` bytes, at least 2, which a rebuild writes where an answer was removed."""
    return b'"' + b"-" * (body_bytes - 2) + b'"'
