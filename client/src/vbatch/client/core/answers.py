"""An output line as a record: the text of the answer, or its vector, or why there is no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from vbatch.contracts.json_faults import with_whole_characters

Body = TypeVar("Body", bound=msgspec.Struct)

ANSWER_NAMES = ("", "_error", "_finish_reason", "_input_tokens", "_output_tokens")
"""The suffixes of the answer's column name that name the columns that a join adds."""


class AnswerUnreadable(ValueError):
    """The line is not an output line."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one request.

    `text` is that of the first choice. An answer without text, such as tool calls or scores, is given as its JSON; an
    answer with embeddings gives only its first `vector`. Exactly one of `text`, `vector` and `error` is set. `body` is
    the engine's own answer, in JSON, or empty if the request got none.
    """

    custom_id: str
    text: str | None = None
    vector: Sequence[float] | None = None
    error: str | None = None
    error_code: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    status_code: int | None = None
    body: bytes = b""
    next_byte: int = 0
    """Where the answers behind this one begin, for `results(after_byte=...)`."""

    @property
    def value(self) -> str | Sequence[float] | None:
        return self.vector if self.vector is not None else self.text


class _ErrorPart(msgspec.Struct):
    message: str = ""
    code: str | int | None = None


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _OutputLine(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _ErrorPart | None = None


class _Text(msgspec.Struct):
    text: str | None = None


class _OutputItem(msgspec.Struct):
    content: list[_Text] | None = None


class _Content(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw(b"")
    text: str | None = None
    finish_reason: str | None = None


class _Vector(msgspec.Struct):
    embedding: list[float]


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Chosen(msgspec.Struct):
    choices: list[_Choice]


class _Responded(msgspec.Struct):
    output: list[_OutputItem]
    status: str | None = None


class _Embedded(msgspec.Struct):
    data: list[_Vector]


class _Used(msgspec.Struct):
    usage: _Usage | None = None


class _Faulty(msgspec.Struct):
    error: _ErrorPart


_LINE = msgspec.json.Decoder(_OutputLine)
_CHOSEN, _RESPONDED = msgspec.json.Decoder(_Chosen), msgspec.json.Decoder(_Responded)
_EMBEDDED, _USED = msgspec.json.Decoder(_Embedded), msgspec.json.Decoder(_Used)
_CONTENT, _FAULTY = msgspec.json.Decoder(_Content), msgspec.json.Decoder(_Faulty)


def parse_answer(raw: bytes, *, next_byte: int = 0) -> Answer:
    """Parse a line of an output or error file. Raises AnswerUnreadable."""
    try:
        line = _decoded(raw)
    except msgspec.DecodeError as error:
        raise AnswerUnreadable(f"This is not an output line: {error}.") from error
    if line.response is None:
        fault = line.error or _ErrorPart("The request has neither an answer nor an error.")
        return _failed(line, fault, next_byte)
    if not 200 <= line.response.status_code < 300:
        return _failed(line, _fault_of(line.response), next_byte)
    return _succeeded(line, line.response, next_byte)


def _decoded(raw: bytes) -> _OutputLine:
    try:
        return _LINE.decode(raw)
    except msgspec.DecodeError:
        return _LINE.decode(with_whole_characters(raw))


def _failed(line: _OutputLine, fault: _ErrorPart, next_byte: int) -> Answer:
    response = line.response
    return Answer(
        custom_id=line.custom_id,
        error=fault.message or "The server gave no reason.",
        error_code=None if fault.code is None else str(fault.code),
        status_code=response.status_code if response else None,
        body=bytes(response.body) if response else b"",
        next_byte=next_byte,
    )


def _fault_of(response: _Response) -> _ErrorPart:
    """Return what the engine reported, in OpenAI's envelope or in the engine's own form."""
    try:
        return _FAULTY.decode(response.body).error
    except msgspec.DecodeError:
        return _ErrorPart(f"HTTP {response.status_code}: {bytes(response.body).decode(errors='replace')}")


def _succeeded(line: _OutputLine, response: _Response, next_byte: int) -> Answer:
    body = with_whole_characters(bytes(response.body))
    text, vector, finish_reason = _said(body)
    usage = _usage_of(body)
    return Answer(
        custom_id=line.custom_id,
        text=text,
        vector=vector,
        finish_reason=finish_reason,
        input_tokens=usage.prompt_tokens if usage.prompt_tokens is not None else usage.input_tokens,
        output_tokens=usage.completion_tokens if usage.completion_tokens is not None else usage.output_tokens,
        status_code=response.status_code,
        body=bytes(response.body),
        next_byte=next_byte,
    )


def _said(body: bytes) -> tuple[str | None, Sequence[float] | None, str | None]:
    """Return the text, the vector and the finish reason."""
    if (chosen := _maybe(_CHOSEN, body)) and chosen.choices:
        choice = chosen.choices[0]
        return _text_of_choice(choice, body), None, choice.finish_reason
    if (embedded := _maybe(_EMBEDDED, body)) and embedded.data:
        return None, embedded.data[0].embedding, None
    if responded := _maybe(_RESPONDED, body):
        texts = [each.text for item in responded.output for each in item.content or () if each.text is not None]
        if texts:
            return "".join(texts), None, responded.status
    return body.decode(), None, None


def _text_of_choice(choice: _Choice, body: bytes) -> str:
    if choice.text is not None:
        return choice.text
    if not bytes(choice.message):
        return body.decode()
    content = _maybe(_CONTENT, bytes(choice.message))
    if content is not None and content.content is not None:
        return content.content
    return bytes(choice.message).decode()


def _usage_of(body: bytes) -> _Usage:
    used = _maybe(_USED, body)
    return used.usage if used is not None and used.usage is not None else _Usage()


def _maybe(decoder: msgspec.json.Decoder[Body], raw: bytes) -> Body | None:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError:
        return None
