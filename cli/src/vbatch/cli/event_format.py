"""Formats a record of the log for people: on one line, or with its headers and its body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from vbatch.contracts.codec import CE_TYPE, Unreadable, decode
from vbatch.contracts.event_text import event_text, size
from vbatch.contracts.message import Recorded

ANSWER_CHARS_SHOWN = 160
TYPE_TOKENS = 4
ANSWER_FIELD = "body"
"""The field of an outcome that holds the engine's whole answer."""


def name_of(record: Recorded) -> str:
    """Return `batch.created` for the type `vbatch.batch.created.v2`; the subject if a record has no type."""
    kind = record.headers.get(CE_TYPE, "").split(".")
    if len(kind) == TYPE_TOKENS:
        return f"{kind[1]}.{kind[2]}"
    parts = record.subject.split(".")
    return f"{parts[1]}.{parts[-1]}"


def line_of(record: Recorded) -> str:
    """Format one line: time, sequence, name, subject and a sentence."""
    time = record.recorded_at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    whose = record.subject.split(".")[2]
    return f"{time}  {record.sequence:>7}  {name_of(record):<24} {whose}  {sentence_of(record)}"


def sentence_of(record: Recorded) -> str:
    try:
        return event_text(decode(record))
    except Unreadable as error:
        return f"cannot be read: {error}"


def document_of(record: Recorded) -> bytes:
    """Return the record as one JSON object: its place in the log, its CloudEvents headers, its body untouched.

    A body that is not JSON is included as text.
    """
    return msgspec.json.encode(
        {
            "sequence": record.sequence,
            "recorded_at": record.recorded_at,
            "name": name_of(record),
            "subject": record.subject,
            "headers": dict(record.headers),
            "body": _json_or_text(record.body),
        }
    )


def pages_of(record: Recorded, *, full: bool) -> Iterator[str]:
    """Yield line by line: the place in the log, the headers, and the body as indented JSON."""
    yield f"{record.sequence}  {record.subject}  recorded {record.recorded_at.astimezone().isoformat()}"
    yield from (f"{name}: {value}" for name, value in record.headers.items())
    yield ""
    yield body_of(record.body, full=full)


def body_of(body: bytes, *, full: bool) -> str:
    """Indent the body and shorten answers unless `full`; a body that is not JSON is returned unchanged."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode(errors="backslashreplace")
        return text if full else _shortened(text)
    if not full and isinstance(value, Mapping) and isinstance(value.get("outcomes"), list):
        value = {**value, "outcomes": [_outline(outcome) for outcome in value["outcomes"]]}
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def _outline(outcome: object) -> object:
    if not isinstance(outcome, Mapping) or ANSWER_FIELD not in outcome:
        return outcome
    return {**outcome, ANSWER_FIELD: _shortened(msgspec.json.encode(outcome[ANSWER_FIELD]).decode())}


def _shortened(text: str) -> str:
    if len(text) <= ANSWER_CHARS_SHOWN:
        return text
    return f"{text[:ANSWER_CHARS_SHOWN]}... ({size(len(text.encode()))} in all; --full shows them)"


def _json_or_text(body: bytes) -> msgspec.Raw | str:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="backslashreplace")
    return msgspec.Raw(body)
