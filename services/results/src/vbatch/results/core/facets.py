"""What can be asked of an answer without reading it: its model, how it ended, its length, whether it is JSON, and which
others have the same text. The parser is tolerant: the engine wrote the body, and its shape is not guaranteed."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import msgspec

from vbatch.contracts.events import Outcome
from vbatch.contracts.previews import body_text

MODEL_CHARS_MAX = 256
FINISH_CHARS_MAX = 64
HASH_BYTES = 8
JSON_STARTS = ("{", "[")
MAY_BEGIN_JSON = "{[ \t\r\n"
"""The characters with which a text begins that may be an object or an array."""


class Facets(NamedTuple):
    """The last columns of a row of `outcome`, in their order. `text_hash` is equal for equal texts; `is_json` means an
    object or an array. The last three are None for an answer that is not text. All are None for a request without a 2xx
    answer, and for an answer in a blob: it may be gone when the read model is rebuilt, and the row must be the same."""

    model: str | None = None
    finish_reason: str | None = None
    text_chars: int | None = None
    is_json: bool | None = None
    text_hash: int | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    text: str | None = None
    message: _Message | None = None


class _Body(msgspec.Struct):
    """Chat completions and completions, the frequent shapes: decoded without the fields that are not needed."""

    model: str | None = None
    choices: list[_Choice] | None = None


NO_FACETS = Facets()
_BODY = msgspec.json.Decoder(_Body)
_ANYTHING = msgspec.json.Decoder()
_VALID = msgspec.json.Decoder(msgspec.Raw)


def facets_of(outcome: Outcome) -> Facets:
    if not outcome.is_success or outcome.body_blob is not None:
        return NO_FACETS
    body = bytes(outcome.body)
    try:
        known = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _unknown(body)
    choice = known.choices[0] if known.choices else None
    if (text := _text(choice)) is None and b'"embedding"' not in body[:512]:
        return _unknown(body)
    return _facets(known.model, choice.finish_reason if choice else None, text)


def _unknown(body: bytes) -> Facets:
    """The facets of a body of another shape: tool calls, content parts, the responses endpoint."""
    try:
        decoded = _ANYTHING.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_FACETS
    if not isinstance(decoded, dict):
        return NO_FACETS
    is_text = "choices" in decoded or "output" in decoded
    return _facets(decoded.get("model"), _finish_reason(decoded), body_text(decoded) if is_text else None)


def _text(choice: _Choice | None) -> str | None:
    if choice is None:
        return None
    return (choice.message.content or None) if choice.message is not None else choice.text


def _finish_reason(body: dict[str, object]) -> object:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("finish_reason") if isinstance(first, dict) else None


def _facets(model: object, finish_reason: object, text: str | None) -> Facets:
    name = model[:MODEL_CHARS_MAX] if isinstance(model, str) else None
    reason = finish_reason[:FINISH_CHARS_MAX] if isinstance(finish_reason, str) else None
    if text is None:
        return Facets(name, reason)
    return Facets(name, reason, len(text), _is_json(text), _hash(text))


def _is_json(text: str) -> bool:
    if text[:1] not in MAY_BEGIN_JSON or not text.lstrip(" \t\r\n").startswith(JSON_STARTS):
        return False
    try:
        _VALID.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def _hash(text: str) -> int:
    """A hash of the text, signed like PostgreSQL's bigint."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
    return int.from_bytes(digest, signed=True)
