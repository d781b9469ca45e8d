"""The tokens that an answer reports, whichever endpoint it came from."""

from __future__ import annotations

from typing import Annotated

import msgspec

from vbatch.contracts.limits import TOKENS_MAX

USAGE = b'"usage":'
Count = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)]


class _Usage(msgspec.Struct):
    """The names that chat, completions and embeddings use, and those that responses use."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None


class _Inner(msgspec.Struct):
    usage: _Usage | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None
    response: _Inner | None = None
    """The place of the usage in an event of a streamed response."""


class TokenCounts(msgspec.Struct, frozen=True):
    input_tokens: int
    output_tokens: int


_DECODER = msgspec.json.Decoder(_Answer)


def usage_in(body: bytes) -> TokenCounts | None:
    """Return the tokens that a whole answer reports; None if it reports none that can be read."""
    try:
        answer = _DECODER.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    usage = answer.usage or (answer.response.usage if answer.response else None)
    if usage is None:
        return None
    return TokenCounts(
        usage.prompt_tokens or usage.input_tokens or 0, usage.completion_tokens or usage.output_tokens or 0
    )


def usage_in_events(events: bytes) -> TokenCounts | None:
    """Return the tokens of the last event that reports any."""
    told = [line for line in events.splitlines() if USAGE in line and line.startswith(b"data:")]
    found = (usage_in(line.removeprefix(b"data:")) for line in reversed(told))
    return next((counts for counts in found if counts is not None), None)
