"""What makes a message acceptable and a filter match: the rules that both journals apply before sending anything."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opentelemetry import propagate

from vbatch.contracts.message import MESSAGE_ID_HEADER, Message, Recorded
from vbatch.journal.port import DeadLetter, Origin, Rejected

SUBJECT_CHARS_MAX = 512
REASON_CHARS_MAX = 1000
DEAD_REASON = "dead-reason"
DEAD_ORIGIN = "dead-origin"
DEAD_SEQUENCE = "dead-sequence"
DEAD_MESSAGE_ID = "dead-message-id"
_SUBJECT = re.compile(r"[^\s.*>]+(?:\.[^\s.*>]+)*")
_FILTER = re.compile(r"(?:(?:\*|[^\s.*>]+)\.)*(?:\*|>|[^\s.*>]+)")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"(?:[^\s\0](?:[^\r\n\0]*[^\s\0])?)?")
_RESERVED_PREFIX = "nats-"
_HEADER_FRAME_BYTES = len("NATS/1.0\r\n\r\n")
_HEADER_LINE_BYTES = len(": \r\n")


def outgoing_headers(message: Message) -> dict[str, str]:
    """Return the message's own headers, its id and the trace context. Raises Rejected if the wire would change them."""
    if len(message.subject) > SUBJECT_CHARS_MAX or not _SUBJECT.fullmatch(message.subject):
        raise Rejected(f"not a subject to publish on: {message.subject[:SUBJECT_CHARS_MAX]!r}")
    headers = dict(message.headers)
    for name, value in headers.items():
        if not _survives(name, value):
            raise Rejected(f"{message.subject}: header {name!r} is malformed, reserved or has a line break")
    if not message.message_id or not _HEADER_VALUE.fullmatch(message.message_id):
        raise Rejected(f"{message.subject}: not a message id: {message.message_id!r}")
    headers[MESSAGE_ID_HEADER] = message.message_id
    propagate.inject(headers)
    return headers


def wire_bytes(headers: Mapping[str, str], body: bytes) -> int:
    """Return what the server counts against its limits: the body and the encoded header block."""
    size = len(body) + _HEADER_FRAME_BYTES + _HEADER_LINE_BYTES * len(headers)
    for name, value in headers.items():
        size += len(name) + (len(value) if value.isascii() else len(value.encode()))
    return size


def check_filter(subject_filter: str) -> None:
    """Raise Rejected unless the text is a NATS subject filter."""
    if not _FILTER.fullmatch(subject_filter):
        raise Rejected(f"not a subject filter: {subject_filter!r}")


def check_subject(subject: str) -> None:
    """Raise Rejected unless the text is one subject, without wildcards."""
    if len(subject) > SUBJECT_CHARS_MAX or not _SUBJECT.fullmatch(subject):
        raise Rejected(f"not a subject: {subject[:SUBJECT_CHARS_MAX]!r}")


def matches(subject_filter: str, subject: str) -> bool:
    """Match as NATS does: `*` is one token, a final `>` one or more."""
    wanted, tokens = subject_filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(w in ("*", t) for w, t in zip(wanted, tokens, strict=True))


def dead_letter_of(record: Recorded, reason: str, origin: Origin) -> Message:
    """Return the dead letter of a record: one per origin and sequence (or message id), however often it is written."""
    headers = {name: value for name, value in record.headers.items() if _survives(name, value)}
    printable = " ".join(reason.replace("\0", " ").split())
    headers[DEAD_REASON] = printable[:REASON_CHARS_MAX].rstrip() or "no reason given"
    headers[DEAD_ORIGIN] = origin.value
    headers[DEAD_SEQUENCE] = str(record.sequence)
    headers[DEAD_MESSAGE_ID] = record.message_id
    name = record.message_id if origin is Origin.WRITE else record.sequence
    return Message(f"dead.{record.subject}", record.body, f"dead:{origin}:{name}", headers)


def from_dead_letter(stored: Recorded) -> DeadLetter:
    """The inverse of `dead_letter_of`, for a stored dead letter."""
    headers = dict(stored.headers)
    reason, origin = headers.pop(DEAD_REASON), Origin(headers.pop(DEAD_ORIGIN))
    sequence = int(headers.pop(DEAD_SEQUENCE))
    headers[MESSAGE_ID_HEADER] = headers.pop(DEAD_MESSAGE_ID, "")
    subject = stored.subject.removeprefix("dead.")
    return DeadLetter(
        stored.sequence, reason, origin, Recorded(sequence, subject, headers, stored.body, stored.recorded_at)
    )


def _survives(name: str, value: str) -> bool:
    """Return whether the wire keeps this header unchanged and the header does not control the server."""
    if name[:5].lower() == _RESERVED_PREFIX or not _HEADER_NAME.fullmatch(name):
        return False
    return _HEADER_VALUE.fullmatch(value) is not None
