"""Finds what is wrong with a successful answer, as far as that costs next to nothing (ADR 33).

Only answers of language models are judged: chat completions, completions and responses. One bad choice among several is
enough. The meaning of an answer is not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, RESPONSES
from vbatch.contracts.events import Flaw
from vbatch.gpu_runner.core.feed import Request

REPEATED_CHARS_MIN = 256
REPEATS_MIN = 8
PASSAGE_CHARS_MAX = 256
"""An answer repeats itself if a passage of at most this many characters fills its end, for at least this many times and
this many characters."""
PROBE_CHARS = 16
REFUSAL_CHARS = 48
REFUSAL_BEGINNINGS = (
    *("i'm sorry, but i can", "i am sorry, but i can", "sorry, but i can", "i apologize, but i can"),
    *("i can't assist", "i can't help with", "i cannot assist", "i cannot help with", "i cannot provide"),
    *("i can't provide", "i'm unable to", "i am unable to", "i'm not able to", "i am not able to"),
)
"""The first words of refusals in English; an engine that knows says it in `refusal` or `finish_reason`."""
JSON_ASKED = b'format"'
"""The end of `response_format` and `format`: a body without it does not ask for JSON, and is not examined."""
JSON_TYPES = frozenset({"json_object", "json_schema"})


ABSENT = msgspec.Raw(b"")


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Choices(msgspec.Struct):
    choices: list[_Choice] = []


class _Part(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str = ""
    content: list[_Part] | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    output: list[_Item] = []
    incomplete_details: _Incomplete | None = None


class _Format(msgspec.Struct):
    type: str | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None


class _Asked(msgspec.Struct):
    response_format: _Format | None = None
    text: _Text | None = None


_CHOICES = msgspec.json.Decoder(_Choices)
_RESPONSE = msgspec.json.Decoder(_Response)
_ASKED = msgspec.json.Decoder(_Asked)
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)
NONE: tuple[Flaw, ...] = ()
EMPTY, CUT, NOT_JSON, REFUSED, REPEATING = (1 << place for place in range(len(Flaw)))
FLAWS = tuple(tuple(flaw for place, flaw in enumerate(Flaw) if marks >> place & 1) for marks in range(1 << len(Flaw)))
"""The flaws of each sum of marks."""
EMPTY_LISTS = (b"null", b"[]")


def flaws_of(request: Request, body: bytes) -> tuple[Flaw, ...]:
    """The flaws of a successful answer, each once; none for an answer of another shape."""
    read = READERS.get(request.endpoint)
    if read is None:
        return NONE
    try:
        marks = read(body, request.body)
    except (msgspec.DecodeError, RecursionError):
        return NONE
    return FLAWS[marks]


def asks_for_json(body: bytes) -> bool:
    """Whether a request body asks for an answer that is JSON."""
    if JSON_ASKED not in body:
        return False
    try:
        asked = _ASKED.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    wanted = asked.response_format or (asked.text.format if asked.text is not None else None)
    return wanted is not None and wanted.type in JSON_TYPES


def is_repeating(text: str) -> bool:
    """Whether the text ends with one passage that is repeated over and over."""
    size = len(text)
    if size < REPEATED_CHARS_MIN:
        return False
    near, probe = text[-PASSAGE_CHARS_MAX - PROBE_CHARS :], text[-PROBE_CHARS:]
    if near.find(probe) == len(near) - PROBE_CHARS:  # the usual case, found faster forwards
        return False
    period = len(near) - PROBE_CHARS - near.rfind(probe, 0, -1)
    length = max(REPEATED_CHARS_MIN, REPEATS_MIN * period)
    return length <= size and text[period - length :] == text[-length:-period]


def begins_as_a_refusal(text: str) -> bool:
    beginning = text[:REFUSAL_CHARS].lstrip().lower()
    return beginning.replace("’", "'").startswith(REFUSAL_BEGINNINGS)  # noqa: RUF001


def _marks(text: str, asked: bytes, *, is_cut: bool, is_refused: bool, calls_tools: bool) -> int:
    """One bit for each flaw of one choice, in the order of `Flaw`: numbers cost less than sets."""
    marks = CUT if is_cut else 0
    if is_refused or begins_as_a_refusal(text):
        marks |= REFUSED
    elif not calls_tools:
        if not text or text.isspace():
            marks |= EMPTY
        elif asks_for_json(asked) and not _is_json(text):
            marks |= NOT_JSON
    return marks | REPEATING if is_repeating(text) else marks


def _is_json(text: str) -> bool:
    try:
        _SYNTAX.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _choices(body: bytes, asked: bytes) -> int:
    marks = 0
    for choice in _CHOICES.decode(body).choices:
        reason, message = choice.finish_reason, choice.message
        is_cut, is_refused = reason == "length", reason == "content_filter"
        text, calls_tools = choice.text, False
        if message is not None:
            text, is_refused = message.content, is_refused or bool(message.refusal)
            calls_tools = message.tool_calls is not ABSENT and bytes(message.tool_calls) not in EMPTY_LISTS
        marks |= _marks(text or "", asked, is_cut=is_cut, is_refused=is_refused, calls_tools=calls_tools)
    return marks


def _response(body: bytes, asked: bytes) -> int:
    response = _RESPONSE.decode(body)
    parts = [part for item in response.output if item.type == "message" for part in item.content or ()]
    reason = response.incomplete_details.reason if response.incomplete_details is not None else None
    return _marks(
        "".join(part.text or "" for part in parts),
        asked,
        is_cut=reason == "max_output_tokens",
        is_refused=reason == "content_filter" or any(part.refusal for part in parts),
        calls_tools=any(item.type.endswith("_call") for item in response.output),
    )


READERS: Mapping[str, Callable[[bytes, bytes], int]] = {
    CHAT_COMPLETIONS: _choices,
    COMPLETIONS: _choices,
    RESPONSES: _response,
}
"""Each takes an answer and its request, and marks the flaws of all choices. Raises msgspec.DecodeError."""
