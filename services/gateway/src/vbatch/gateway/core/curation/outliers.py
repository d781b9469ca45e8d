"""Which answers are unlike the others, by embeddings that the owner made of them in another batch.

An answer is as unlike as its embedding is far from the nearest of a small sample of all embeddings (M. Sugiyama and
K. Borgwardt, "Rapid Distance-Based Outlier Detection via Sampling", 2013). The time is linear in the embeddings.
"""

from __future__ import annotations

import hashlib
from array import array
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping, Sequence
from math import dist, hypot
from typing import TypeAlias

import msgspec

from vbatch.contracts.ids import BatchId
from vbatch.contracts.lines import OutputLine
from vbatch.gateway.core.curation.doubts import Doubt, Doubts
from vbatch.gateway.core.curation.examples import Answered, Exchange
from vbatch.gateway.core.curation.texts import Unusable, request_of
from vbatch.gateway.core.refusals import Reason, Refusal

SAMPLE_COUNT = 50
"""The paper finds 20 to be enough; with more, a small group of answers that are alike rarely counts as outliers."""
EMBEDDINGS_MAX = 50_000
NUMBERS_MAX = 1 << 24
"""In all embeddings together, 4 bytes each: 16,384 of 1,024 dimensions, 64 MB."""
PARAM = "embeddings"

Vector: TypeAlias = "array[float]"
"""A unit vector of single precision."""


class _Embedding(msgspec.Struct, frozen=True):
    """Numbers, or the base64 of little-endian ones of single precision."""

    embedding: list[float] | str


class _Body(msgspec.Struct, frozen=True):
    data: list[_Embedding]


_OUTPUT_LINES = msgspec.json.Decoder(OutputLine)
_BODIES = msgspec.json.Decoder(_Body)


class Embeddings:
    """The embeddings of one batch by custom_id, within the bounds."""

    def __init__(self, batch_id: BatchId) -> None:
        self.vectors: dict[str, Vector] = {}
        self._batch_id = batch_id
        self._dimensions = 0

    def add(self, page: Iterable[Answered]) -> None:
        """Add the requests with one text each. Raises Refusal if there are too many, or their dimensions differ."""
        for answered in page:
            try:
                custom_id, _ = request_of(answered.request)
                vector = _unit_vector(answered.answer)
            except Unusable:
                continue
            self._check(len(vector))
            self.vectors[custom_id] = vector

    def _check(self, dimensions: int) -> None:
        self._dimensions = self._dimensions or dimensions
        if dimensions != self._dimensions:
            raise _refusal(
                f"The embeddings of '{self._batch_id}' have {self._dimensions:,} dimensions here and {dimensions:,} "
                "there: let one model make all of them."
            )
        if (len(self.vectors) + 1) * dimensions > NUMBERS_MAX:
            raise _refusal(
                f"The embeddings of '{self._batch_id}' have more than {NUMBERS_MAX:,} numbers. Embed fewer answers, or "
                "use a model with fewer dimensions."
            )


def outlying(exchanges: Sequence[Exchange], embeddings: Embeddings, seed: int) -> Doubts:
    """Return the distance of each answer whose custom_id has an embedding. Raises Refusal if none has."""
    vectors = embeddings.vectors
    embedded = [each for each in exchanges if each.custom_id in vectors]
    if len(embedded) < 2:
        raise _refusal("Two answers at least need an embedding, which has the same custom_id as the answer.")
    found = distances({each.custom_id: vectors[each.custom_id] for each in embedded}, seed)
    return {(each.key,): Doubt(distance=found[each.custom_id]) for each in embedded}


def distances(vectors: Mapping[str, Vector], seed: int) -> dict[str, float]:
    """Return for each of at least two vectors the distance, 0 to 2, to the nearest other one of a sample that the seed
    draws."""
    order = sorted(vectors, key=lambda name: hashlib.sha256(f"{seed}|{name}".encode(errors="replace")).digest())
    sample = [(name, tuple(vectors[name])) for name in order[:SAMPLE_COUNT]]
    points = ((name, tuple(vector)) for name, vector in vectors.items())
    return {name: min(dist(point, other) for drawn, other in sample if drawn != name) for name, point in points}


def must_be_few(batch_id: BatchId, count: int) -> None:
    """Raises Refusal."""
    if count > EMBEDDINGS_MAX:
        raise _refusal(f"'{batch_id}' has {count:,} embeddings; at most {EMBEDDINGS_MAX:,} are compared.")


def not_of_embeddings(batch_id: BatchId) -> Refusal:
    return _refusal(f"'{batch_id}' is not a batch of /v1/embeddings.")


def _refusal(words: str) -> Refusal:
    return Refusal(Reason.VALUE_INVALID, words, PARAM)


def _unit_vector(answer: bytes) -> Vector:
    """Raises Unusable."""
    try:
        response = _OUTPUT_LINES.decode(answer).response
        data = _BODIES.decode(response.body).data if response is not None else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("answer is no embedding") from error
    if len(data) != 1:
        raise Unusable("answer is not one embedding")
    numbers = _numbers(data[0].embedding)
    length = hypot(*numbers)
    if not 0 < length < float("inf"):
        raise Unusable("embedding has no direction")
    return array("f", [number / length for number in numbers])


def _numbers(embedding: list[float] | str) -> Sequence[float]:
    if isinstance(embedding, list):
        return embedding
    try:
        numbers = array("f")
        numbers.frombytes(b64decode(embedding, validate=True))
        return numbers
    except (NotBase64, ValueError) as error:
        raise Unusable("embedding is no base64") from error
