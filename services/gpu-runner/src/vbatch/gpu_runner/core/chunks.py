"""Groups the outcomes of one slice into chunks that are few enough, small enough and recorded soon enough."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from vbatch.contracts import limits
from vbatch.contracts.events import Outcome

CHUNK_BYTES_MAX = limits.SMALL_CHUNK_BYTES_MAX
CHUNK_OUTCOMES_MAX = limits.OUTCOMES_COUNT_MAX
"""A device that answers this many within CHUNK_SECONDS_MAX records them with one wait for the disk."""
CHUNK_SECONDS_MAX = 0.5
BODY_BYTES_MAX = limits.ANSWER_BYTES_MAX
"""A larger answer goes to a blob: it would nearly fill a message by itself."""

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Chunk:
    """`number` counts from 1 inside a slice."""

    number: int
    outcomes: tuple[Outcome, ...]


class Chunker:
    """Collects the outcomes of one slice. The caller closes a chunk CHUNK_SECONDS_MAX after its first outcome."""

    def __init__(self) -> None:
        self._number = 1
        self._outcomes: list[Outcome] = []
        self._bytes = 0

    @property
    def number(self) -> int:
        """The number of the chunk that is being collected."""
        return self._number

    @property
    def is_empty(self) -> bool:
        return not self._outcomes

    def add(self, outcome: Outcome) -> list[Chunk]:
        """Add an outcome; return the chunks it closed: none, one, or two if it is large itself."""
        size = outcome_bytes(outcome)
        closed = self.close() if self._bytes + size > CHUNK_BYTES_MAX else []
        self._outcomes.append(outcome)
        self._bytes += size
        if len(self._outcomes) >= CHUNK_OUTCOMES_MAX or self._bytes >= CHUNK_BYTES_MAX:
            closed += self.close()
        return closed

    def close(self) -> list[Chunk]:
        """Return the chunk collected so far, if there is one."""
        if not self._outcomes:
            return []
        chunk = Chunk(self._number, tuple(self._outcomes))
        self._number, self._outcomes, self._bytes = self._number + 1, [], 0
        return [chunk]


def outcome_bytes(outcome: Outcome) -> int:
    """Return the size of the outcome on the wire, with the comma after it."""
    return len(_ENCODER.encode(outcome)) + 1
