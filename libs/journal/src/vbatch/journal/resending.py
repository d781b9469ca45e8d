"""Whether the message of a dead letter can be sent again, and as what."""

from __future__ import annotations

from collections.abc import Mapping

from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.message import Message
from vbatch.contracts.orders import UnreadableOrder, decode_order
from vbatch.journal.port import DeadLetter, Origin

LEASE = ".lease"
ID_HEADER = "ce-id"
RESERVED_PREFIX = "nats-"


def fault_of(letter: DeadLetter) -> str:
    """Return why sending the message again would not help, as a sentence that says what to do; empty if it would
    help."""
    if letter.original.subject.endswith(LEASE):
        return "A lease cannot be sent again: it would fence the running process. Drop the letter."
    if letter.origin is Origin.WRITE:
        return "The log refused it and never stored it; only its beginning is here. Drop the letter."
    try:
        if letter.origin is Origin.WORK:
            decode_order(letter.original.body)
        else:
            decode(letter.original)
    except (Unreadable, UnreadableOrder) as error:
        return f"It still cannot be read: {error}. Keep it for a newer version, or drop it."
    return ""


def again(letter: DeadLetter) -> Message:
    """Return the original message under a new id, which is derived from the letter: sent twice, it is stored once."""
    original = letter.original
    message_id = f"{original.message_id or original.sequence}:retry:{letter.sequence}"
    return Message(original.subject, original.body, message_id, _headers(original.headers, message_id))


def _headers(headers: Mapping[str, str], message_id: str) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if not name.lower().startswith(RESERVED_PREFIX)}
    return kept | ({ID_HEADER: message_id} if ID_HEADER in kept else {})
