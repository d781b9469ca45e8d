"""What became of requests: their outcomes, faults, tokens and counts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from vbatch.contracts import limits
from vbatch.contracts.bounds import Items
from vbatch.contracts.failures import FileFault, RequestFault
from vbatch.contracts.ids import ModelId


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tokens of one request, or the sum over many."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


NO_USAGE = Usage()
NO_ANSWER = msgspec.Raw(b"null")


class BatchFault(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a failed batch's `errors.data`; all four keys are always present."""

    code: FileFault
    message: limits.FaultMessage
    line: int | None = None
    param: limits.Word | None = None


class RequestError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a line has no HTTP answer: the `error` field of its output line."""

    code: RequestFault
    message: limits.ErrorMessage


class Flaw(StrEnum):
    """What is wrong with a successful answer, as far as it shows without reading it: it has no text, was cut by its
    token limit, is not the JSON that was asked for, is a refusal, or repeats itself to the end."""

    EMPTY = "empty"
    CUT = "cut"
    NOT_JSON = "not_json"
    REFUSED = "refused"
    REPEATING = "repeating"


Flaws = Annotated[tuple[Flaw, ...], Items(len(Flaw))]


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one request: an HTTP answer (`status_code` and `body`, or `body_blob` when the body is too big for
    a message), or an `error`. `body` is the engine's JSON, unchanged. `seconds` is the time inside the engine."""

    line: int
    custom_id: limits.CustomId
    status_code: int | None = None
    body: limits.Answer = msgspec.field(default_factory=lambda: NO_ANSWER)
    body_blob: limits.BlobName | None = None
    error: RequestError | None = None
    usage: Usage = NO_USAGE
    seconds: float = 0.0
    flaws: Flaws = ()

    @property
    def is_success(self) -> bool:
        return is_success(self.status_code)


class OutcomeOutline(msgspec.Struct, frozen=True):
    """An outcome read without its answer."""

    line: int
    status_code: int | None = None
    usage: Usage = NO_USAGE
    seconds: float = 0.0
    flaws: Flaws = ()
    error: RequestError | None = None

    @property
    def is_success(self) -> bool:
        return is_success(self.status_code)


def is_success(status_code: int | None) -> bool:
    """Return whether the request got a 2xx answer."""
    return status_code is not None and 200 <= status_code < 300


class RequestCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts as OpenAI defines them: lines that never ran are in neither `completed` nor `failed`."""

    total: int
    completed: int
    failed: int


class ModelTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests of a batch name this model, and their bytes."""

    model: ModelId
    requests: int
    input_bytes: int
