"""Asks an engine for one token before its first sleep and after each wake: if the answers differ, it is restarted.

The token and its log probability are compared as vLLM's own snapshots do (vllm/snapshot); for an embedding model, the
numbers are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from vbatch.contracts.endpoints import COMPLETIONS, EMBEDDINGS
from vbatch.contracts.ids import ModelId

PROMPT = "The capital of France is"
TOLERANCE = 1e-3
NUMBERS_COMPARED = 16


@dataclass(frozen=True, slots=True)
class Canary:
    """The engine's answer: a token with its log probability, or the first numbers of an embedding."""

    token: str
    numbers: tuple[float, ...]


class _Logprobs(msgspec.Struct):
    tokens: list[str]
    token_logprobs: list[float]


class _Choice(msgspec.Struct):
    text: str
    logprobs: _Logprobs | None = None
    token_ids: list[int] | None = None


class _Row(msgspec.Struct):
    embedding: list[float]


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []
    data: list[_Row] = []


_DECODER = msgspec.json.Decoder(_Answer)


def canary_question(model: ModelId, endpoints: Sequence[str]) -> tuple[str, bytes]:
    """Return the endpoint and the body of the canary request."""
    if EMBEDDINGS in endpoints:
        return EMBEDDINGS, msgspec.json.encode({"model": model, "input": PROMPT})
    body = {"model": model, "prompt": PROMPT, "max_tokens": 1, "temperature": 0, "logprobs": 1}
    return COMPLETIONS, msgspec.json.encode({**body, "return_token_ids": True})


def canary_in(answer: bytes) -> Canary | None:
    """Return the canary in an answer; None if it has neither a token nor an embedding."""
    try:
        read = _DECODER.decode(answer)
    except msgspec.DecodeError:
        return None
    if read.data:
        return Canary("", tuple(read.data[0].embedding[:NUMBERS_COMPARED]))
    return _token(read.choices[0]) if read.choices else None


def agree(before: Canary, after: Canary) -> bool:
    """Whether the two answers agree. NaN agrees with nothing, not even with itself."""
    pairs = zip(before.numbers, after.numbers, strict=False)
    same_length = len(before.numbers) == len(after.numbers)
    return before.token == after.token and same_length and all(abs(a - b) <= TOLERANCE for a, b in pairs)


def _token(choice: _Choice) -> Canary:
    named = str(choice.token_ids[0]) if choice.token_ids else choice.text
    logprobs = choice.logprobs.token_logprobs[:1] if choice.logprobs else []
    return Canary(named, tuple(logprobs))
