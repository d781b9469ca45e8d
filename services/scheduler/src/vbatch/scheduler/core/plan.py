"""The plan of a batch: which line stands where in its file, and in which order the lines run."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from vbatch.contracts.ids import ModelId
from vbatch.contracts.orders import RequestRef


def _lines() -> array[int]:
    return array("I")


def _offsets() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class Plan:
    """Every request of a file, in file order, 16 bytes each. Lines are physical, from 1; offsets in bytes."""

    model: ModelId
    lines: array[int] = field(default_factory=_lines)
    offsets: array[int] = field(default_factory=_offsets)
    lengths: array[int] = field(default_factory=_lines)

    def add(self, ref: RequestRef) -> None:
        self.lines.append(ref.line)
        self.offsets.append(ref.offset)
        self.lengths.append(ref.length)

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def last_line(self) -> int:
        return self.lines[-1] if self.lines else 0

    @property
    def input_bytes(self) -> int:
        return sum(self.lengths)

    def refs(self, lines: Iterable[int]) -> tuple[RequestRef, ...]:
        return tuple(self._ref(bisect_left(self.lines, line)) for line in lines)

    def _ref(self, index: int) -> RequestRef:
        return RequestRef(self.lines[index], self.offsets[index], self.lengths[index])
