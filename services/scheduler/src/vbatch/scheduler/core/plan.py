"""The plan of a batch: which line stands where in its file, and in which order the lines run."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from vbatch.contracts.ids import ModelId
from vbatch.contracts.orders import RequestRef


def _lines() -> array[int]:
    return array("I")


def _offsets() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class Plan:
    """Every request of a file, in file order, 16 bytes each, and 4 more once it is arranged.

    Lines are physical, from 1; offsets in bytes.
    """

    model: ModelId
    lines: array[int] = field(default_factory=_lines)
    offsets: array[int] = field(default_factory=_offsets)
    lengths: array[int] = field(default_factory=_lines)
    _arranged: array[int] = field(default_factory=_lines)

    def add(self, ref: RequestRef) -> None:
        self.lines.append(ref.line)
        self.offsets.append(ref.offset)
        self.lengths.append(ref.length)

    def arrange(self, order: Iterable[int]) -> None:
        """Run the requests in this order of their indices in the file; each index once."""
        self._arranged = array("I", (self.lines[index] for index in order))

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def order(self) -> Sequence[int]:
        """The lines in the order they run: file order until it is arranged."""
        return self._arranged or self.lines

    @property
    def last_line(self) -> int:
        return self.lines[-1] if self.lines else 0

    @property
    def input_bytes(self) -> int:
        return sum(self.lengths)

    def refs(self, lines: Iterable[int]) -> tuple[RequestRef, ...]:
        """Where these lines stand, in the order asked."""
        return tuple(self.ref(bisect_left(self.lines, line)) for line in lines)

    def ref(self, index: int) -> RequestRef:
        """Where the request with this index in the file stands."""
        return RequestRef(self.lines[index], self.offsets[index], self.lengths[index])


class _Packed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: ModelId
    lines: bytes
    offsets: bytes
    lengths: bytes
    order: bytes


def packed(plan: Plan) -> bytes:
    """For this machine: numbers stand as its processor has them."""
    columns = (plan.lines, plan.offsets, plan.lengths, array("I", plan.order))
    return msgspec.msgpack.encode(_Packed(plan.model, *(column.tobytes() for column in columns)))


def unpacked(raw: bytes) -> Plan:
    """What was packed. Raises msgspec.DecodeError."""
    found = msgspec.msgpack.decode(raw, type=_Packed)
    lines, offsets, lengths, order = _lines(), _offsets(), _lines(), _lines()
    for column, content in zip(
        (lines, offsets, lengths, order), (found.lines, found.offsets, found.lengths, found.order), strict=True
    ):
        column.frombytes(content)
    return Plan(found.model, lines, offsets, lengths, order)
