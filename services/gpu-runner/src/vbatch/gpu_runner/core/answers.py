"""Interprets an engine's answer: an outcome with its body untouched, and the tokens it cost.

A body that is not JSON is never passed on: it would break the files and messages that hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from vbatch.contracts.events import NO_USAGE, Outcome, RequestError, Usage
from vbatch.contracts.failures import REQUEST_FAULT_MESSAGES, RequestFault
from vbatch.contracts.limits import TOKENS_MAX
from vbatch.gpu_runner.core.feed import Request
from vbatch.gpu_runner.core.judging import flaws_of

ENVELOPE_TEXT_CHARS_MAX = 2_000

STATUS_MIN, STATUS_MAX = 200, 599
"""The range of an answer's status; 1xx only announces an answer."""
ODD_STATUS = "The engine answered with the status {status}, which is not the status of an answer."

Count = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)]
"""A count of tokens; an engine that reports more is not believed."""


class _InputDetails(msgspec.Struct):
    cached_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None


class _Usage(msgspec.Struct):
    """The field names of chat, completions and embeddings, and those of responses."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def total(self) -> Usage:
        cached = self.prompt_tokens_details or self.input_tokens_details or _InputDetails()
        reasoning = self.completion_tokens_details or self.output_tokens_details or _OutputDetails()
        return Usage(
            input_tokens=self.prompt_tokens or self.input_tokens or 0,
            output_tokens=self.completion_tokens or self.output_tokens or 0,
            cached_tokens=cached.cached_tokens or 0,
            reasoning_tokens=reasoning.reasoning_tokens or 0,
        )


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_ANSWER_DECODER = msgspec.json.Decoder(_Answer)
_SYNTAX_DECODER = msgspec.json.Decoder(msgspec.Raw)


class NotJson(Exception):
    """Raised when bytes are not a JSON document."""


def outcome_of(request: Request, status_code: int, body: bytes, seconds: float) -> Outcome:
    """Return the outcome of an HTTP answer; an invalid status, or a success that is not JSON, becomes a fault."""
    if not STATUS_MIN <= status_code <= STATUS_MAX:
        message = ODD_STATUS.format(status=status_code)
        return fault_outcome(request, RequestFault.UNREADABLE_ANSWER, message=message, seconds=seconds)
    try:
        usage = usage_of(body)
    except NotJson:
        if status_code < 400:
            return fault_outcome(request, RequestFault.UNREADABLE_ANSWER, seconds=seconds)
        body, usage = error_envelope(body, status_code), NO_USAGE
    return Outcome(
        line=request.line,
        custom_id=request.custom_id,
        status_code=status_code,
        body=msgspec.Raw(body),
        usage=usage,
        seconds=seconds,
        flaws=flaws_of(request, body) if status_code < 300 else (),
    )


def fault_outcome(request: Request, fault: RequestFault, *, message: str = "", seconds: float = 0.0) -> Outcome:
    """Return the outcome of a request that got no HTTP answer worth keeping."""
    error = RequestError(code=fault, message=message or REQUEST_FAULT_MESSAGES[fault])
    return Outcome(line=request.line, custom_id=request.custom_id, error=error, seconds=seconds)


def usage_of(body: bytes) -> Usage:
    """Return the tokens that an answer reports; none if it reports them in another shape. Raises NotJson."""
    try:
        if not body.isascii():
            body.decode()
        answer = _ANSWER_DECODER.decode(body)
    except msgspec.ValidationError:
        _check_syntax(body)
        return NO_USAGE
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error
    return answer.usage.total() if answer.usage else NO_USAGE


def error_envelope(text: bytes, status_code: int) -> bytes:
    """Wrap the text of an error answer that is not JSON in OpenAI's error envelope."""
    message = text.decode(errors="replace").strip()[:ENVELOPE_TEXT_CHARS_MAX]
    kind = "invalid_request_error" if status_code < 500 else "server_error"
    error: Mapping[str, str | None] = {
        "message": message or f"The engine answered with status {status_code} and no text.",
        "type": kind,
        "param": None,
        "code": None,
    }
    return msgspec.json.encode({"error": error})


def _check_syntax(body: bytes) -> None:
    try:
        _SYNTAX_DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotJson(str(error)) from error
