"""A dry run: a few lines of a file run now, and the cost of all lines is estimated. Nothing is created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import msgspec

from vbatch.contracts.dry_run import LINES_DEFAULT, LINES_MAX
from vbatch.contracts.endpoints import CHAT_COMPLETIONS, COMPLETIONS, EMBEDDINGS
from vbatch.contracts.ids import ModelId
from vbatch.gateway.core.refusals import Reason, Refusal, parameter_unknown, type_invalid
from vbatch.gateway.core.shapes import integer, integer_between

FIELDS = ("lines", "prices")
PRICES = ("input_per_million", "output_per_million", "per_kwh")
PRICE_MAX = 1e9
MILLION = 1_000_000
CONFIDENCE = 2.0
"""In 95 of 100 cases a total is within this many standard errors of its estimate."""
SHOWN_BYTES_MAX = 256 << 10
"""A longer answer is not shown."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in any one currency; None if no price was given."""

    input_per_million: float | None = None
    output_per_million: float | None = None
    per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class DryRunParams:
    lines: int = LINES_DEFAULT
    prices: Prices = Prices()


@dataclass(frozen=True, slots=True)
class EstimateParams:
    """The work that the scheduler is asked about."""

    model: ModelId
    requests: int
    input_tokens: int
    output_tokens: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate, and the bounds between which the true value probably is."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Counted:
    """The tokens of one line of `length` bytes."""

    length: int
    tokens: int


class _Line(msgspec.Struct, frozen=True):
    custom_id: str
    body: msgspec.Raw


class _Tokenized(msgspec.Struct, frozen=True):
    count: int


_LINE = msgspec.json.Decoder(_Line)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOKENIZED = msgspec.json.Decoder(_Tokenized)


def read_dry_run(value: object) -> DryRunParams | None:
    """Parse `{"lines": 3, "prices": {…}}`; None for null. Raises Refusal."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise type_invalid("dry_run", "an object", value)
    for name in value:
        if name not in FIELDS:
            raise parameter_unknown(f"dry_run.{name}")
    lines = value.get("lines", LINES_DEFAULT)
    name = "dry_run.lines"
    return DryRunParams(integer_between(integer(lines, name), name, 1, LINES_MAX), _prices(value.get("prices")))


def _prices(value: object) -> Prices:
    if value is None:
        return Prices()
    if not isinstance(value, dict):
        raise type_invalid("dry_run.prices", "an object", value)
    for name in value:
        if name not in PRICES:
            raise parameter_unknown(f"dry_run.prices.{name}")
    return Prices(**{name: _price(price, f"dry_run.prices.{name}") for name, price in value.items()})


def _price(value: object, name: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise type_invalid(name, "a number", value)
    if not 0 <= value <= PRICE_MAX:
        words = f"Invalid '{name}': expected a number from 0 to {PRICE_MAX:.0f}."
        raise Refusal(Reason.VALUE_INVALID, words, name)
    return float(value)


def parts_of(line: bytes) -> tuple[str, bytes]:
    """Return the custom_id and the body of a line that was found valid."""
    found = _LINE.decode(line)
    return found.custom_id, bytes(found.body)


def tokenize_body(endpoint: str, body: bytes) -> bytes | None:
    """Return the body that makes vLLM count the tokens of a request; None for an endpoint whose input it does not
    count."""
    fields: Mapping[str, msgspec.Raw] = _FIELDS.decode(body)
    source = {CHAT_COMPLETIONS: "messages", COMPLETIONS: "prompt", EMBEDDINGS: "input"}.get(endpoint)
    if source is None or source not in fields:
        return None
    target = "messages" if source == "messages" else "prompt"
    asked = {"model": fields["model"], target: fields[source]}
    if target == "messages" and "tools" in fields:
        asked["tools"] = fields["tools"]
    return msgspec.json.encode(asked)


def token_count(answer: bytes) -> int | None:
    """Return the count in an answer to `tokenize_body`."""
    try:
        return _TOKENIZED.decode(answer).count
    except (msgspec.DecodeError, RecursionError):
        return None


def input_tokens(sample: Sequence[Counted], requests: int, total_bytes: int) -> Range | None:
    """Estimate the tokens of all lines from those of a sample, by the ratio of tokens to bytes (Cochran 1977, 6.2-6.4).

    None for an empty sample. The range holds in 95 of 100 cases if the sample is spread evenly; with every line counted
    it is exact.
    """
    sampled_bytes = sum(counted.length for counted in sample)
    if not sampled_bytes:
        return None
    ratio = sum(counted.tokens for counted in sample) / sampled_bytes
    total, error = ratio * total_bytes, CONFIDENCE * _standard_error(sample, ratio, requests)
    return Range(total, max(0.0, total - error), total + error)


def _standard_error(sample: Sequence[Counted], ratio: float, requests: int) -> float:
    count = len(sample)
    if count >= requests:
        return 0.0
    if count < 2:
        return ratio * sample[0].length * requests
    residuals = sum((counted.tokens - ratio * counted.length) ** 2 for counted in sample) / (count - 1)
    return requests * sqrt((1 - count / requests) * residuals / count)


def output_tokens(answered: Sequence[int], mean_so_far: float | None, requests: int) -> Range | None:
    """Estimate the tokens of all answers, between the shortest and the longest answer, including the model's mean so
    far."""
    if not answered:
        return None
    seen = [*map(float, answered), *([mean_so_far] if mean_so_far is not None else [])]
    return Range(requests * sum(answered) / len(answered), requests * min(seen), requests * max(seen))
