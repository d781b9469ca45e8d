"""What makes a message acceptable and a filter match: the rules both journals apply before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opentelemetry import propagate

from .port import MESSAGE_ID_HEADER, Message, Rejected

SUBJECT_CHARS_MAX = 512
_SUBJECT = re.compile(r"[^\s.*>]+(?:\.[^\s.*>]+)*")
_FILTER = re.compile(r"(?:(?:\*|[^\s.*>]+)\.)*(?:\*|>|[^\s.*>]+)")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"(?:[^\s\0](?:[^\r\n\0]*[^\s\0])?)?")
_RESERVED_PREFIX = "nats-"
_HEADER_FRAME_BYTES = len("NATS/1.0\r\n\r\n")
_HEADER_LINE_BYTES = len(": \r\n")


def outgoing_headers(message: Message) -> dict[str, str]:
    """The message's own headers, its id and the current trace context; Rejected when they would not survive."""
    if len(message.subject) > SUBJECT_CHARS_MAX or not _SUBJECT.fullmatch(message.subject):
        raise Rejected(f"not a subject to publish on: {message.subject[:SUBJECT_CHARS_MAX]!r}")
    headers = dict(message.headers)
    for name in headers:
        if not _HEADER_NAME.fullmatch(name) or name.lower().startswith(_RESERVED_PREFIX):
            raise Rejected(f"{message.subject}: header name {name!r} is malformed or reserved")
    headers[MESSAGE_ID_HEADER] = message.message_id
    for name, value in headers.items():
        if not _HEADER_VALUE.fullmatch(value):
            raise Rejected(f"{message.subject}: header {name} has a line break or space at an end: {value!r}")
    if not message.message_id:
        raise Rejected(f"{message.subject}: a message needs a message_id")
    propagate.inject(headers)
    return headers


def wire_bytes(headers: Mapping[str, str], body: bytes) -> int:
    """What the server counts against its limits: the body and the encoded header block."""
    size = len(body) + _HEADER_FRAME_BYTES + _HEADER_LINE_BYTES * len(headers)
    for name, value in headers.items():
        size += len(name) + (len(value) if value.isascii() else len(value.encode()))
    return size


def check_filter(subject_filter: str) -> None:
    if not _FILTER.fullmatch(subject_filter):
        raise Rejected(f"not a subject filter: {subject_filter!r}")


def matches(subject_filter: str, subject: str) -> bool:
    """NATS matching: `*` is one token, a final `>` one or more."""
    wanted, tokens = subject_filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(w in ("*", t) for w, t in zip(wanted, tokens, strict=True))
