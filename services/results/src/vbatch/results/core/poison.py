"""What remains of an event that the read model cannot take, without the texts of clients and engines."""

from __future__ import annotations

from msgspec.structs import replace

from vbatch.contracts import events as e
from vbatch.contracts.failures import FileFault

MESSAGE = "The faults of this file could not be recorded; the operator of the server finds them among the dead letters."


def without_words(event: e.AnyEvent) -> e.AnyEvent | None:
    """The event without its texts, if its absence would leave a batch unknown or without an end; otherwise None.

    Lines whose outcomes are skipped get an error when the files of their batch are written.
    """
    match event:
        case e.BatchCreated():
            return replace(event, metadata=None)
        case e.BatchRejected():
            return replace(event, faults=(e.BatchFault(code=FileFault.INVALID_REQUEST, message=MESSAGE),))
        case _:
            return None
