"""The plan of a batch: where each line is in its file, and in which order the lines run."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from vbatch.contracts.events import ModelTotal
from vbatch.contracts.ids import ModelId
from vbatch.contracts.orders import RequestRef


def _lines() -> array[int]:
    return array("I")


def _offsets() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class Plan:
    """Every request of a file, in file order, 16 bytes each, and 8 to 13 more once it is arranged.

    Lines are physical, from 1; offsets are in bytes. `models` is empty while every request is for `model`.
    """

    model: ModelId
    lines: array[int] = field(default_factory=_lines)
    offsets: array[int] = field(default_factory=_offsets)
    lengths: array[int] = field(default_factory=_lines)
    _arranged: array[int] = field(default_factory=_lines)
    _groups: array[int] = field(default_factory=_lines)
    _by_group: array[int] = field(default_factory=_lines)
    models: tuple[ModelId, ...] = ()
    _model_numbers: bytes = b""
    """The model of each request, as an index of `models`."""

    def add(self, ref: RequestRef) -> None:
        self.lines.append(ref.line)
        self.offsets.append(ref.offset)
        self.lengths.append(ref.length)

    def arrange(self, order: Iterable[int], groups: array[int] | None = None) -> None:
        """Set the order in which the requests run, as indices, each exactly once; `groups` is by index, 0 for none.
        Requests for one model run together, the models in the order in which the file names them."""
        if self.models:
            order = sorted(order, key=self._model_numbers.__getitem__)
        self._arranged = array("I", (self.lines[index] for index in order))
        self._groups = groups or _lines()
        grouped = (index for index, group in enumerate(self._groups) if group)
        self._by_group = array("I", sorted(grouped, key=self._groups.__getitem__))

    def name_models(self, models: Sequence[ModelId], numbers: bytes) -> None:
        """Set which of several models each request is for, by index. Call it before the plan is arranged."""
        self.models, self._model_numbers = tuple(models), numbers

    def __len__(self) -> int:
        return len(self.lines)

    def model_of(self, line: int) -> ModelId:
        return self.models[self._model_numbers[bisect_left(self.lines, line)]] if self.models else self.model

    def part_of(self, model: ModelId) -> range:
        """The positions of this model's requests in the order."""
        if not self.models:
            return range(len(self))
        number = self.models.index(model)
        counts = [self._model_numbers.count(before) for before in range(number + 1)]
        return range(sum(counts[:number]), sum(counts))

    def totals(self) -> tuple[ModelTotal, ...]:
        """The requests and bytes of each model."""
        if not self.models:
            return (ModelTotal(model=self.model, requests=len(self), input_bytes=self.input_bytes),)
        sizes = [0] * len(self.models)
        for number, length in zip(self._model_numbers, self.lengths, strict=True):
            sizes[number] += length
        return tuple(
            ModelTotal(model=model, requests=self._model_numbers.count(number), input_bytes=sizes[number])
            for number, model in enumerate(self.models)
        )

    @property
    def order(self) -> Sequence[int]:
        """The lines in the order they run: file order until the plan is arranged."""
        return self._arranged or self.lines

    @property
    def last_line(self) -> int:
        return self.lines[-1] if self.lines else 0

    @property
    def input_bytes(self) -> int:
        return sum(self.lengths)

    def refs(self, lines: Iterable[int]) -> tuple[RequestRef, ...]:
        """Where these lines are in the file, in the given order."""
        return tuple(self.ref(bisect_left(self.lines, line)) for line in lines)

    def groups_of(self, lines: Iterable[int]) -> Iterator[int]:
        """The group of each of these lines."""
        if self._groups:
            yield from filter(None, (self._groups[bisect_left(self.lines, line)] for line in lines))

    def in_group(self, group: int) -> Iterator[int]:
        """The lines of this group, in file order."""
        first = bisect_left(self._by_group, group, key=self._groups.__getitem__)
        for index in islice(self._by_group, first, None):
            if self._groups[index] != group:
                return
            yield self.lines[index]

    def ref(self, index: int) -> RequestRef:
        """Where the request with this index is in the file."""
        group = self._groups[index] if self._groups else 0
        return RequestRef(self.lines[index], self.offsets[index], self.lengths[index], group)


class _Packed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: ModelId
    lines: bytes
    offsets: bytes
    lengths: bytes
    order: bytes
    groups: bytes
    by_group: bytes
    models: tuple[ModelId, ...]
    model_numbers: bytes


def packed(plan: Plan) -> bytes:
    """The plan as bytes for this machine: numbers are in its processor's byte order."""
    columns = (plan.lines, plan.offsets, plan.lengths, array("I", plan.order), plan._groups, plan._by_group)
    lines, offsets, lengths, order, groups, by_group = (column.tobytes() for column in columns)
    return msgspec.msgpack.encode(
        _Packed(plan.model, lines, offsets, lengths, order, groups, by_group, plan.models, plan._model_numbers)
    )


def unpacked(raw: bytes) -> Plan:
    """Restore a packed plan. Raises msgspec.DecodeError."""
    found = msgspec.msgpack.decode(raw, type=_Packed)
    columns = (_lines(), _offsets(), _lines(), _lines(), _lines(), _lines())
    contents = (found.lines, found.offsets, found.lengths, found.order, found.groups, found.by_group)
    for column, content in zip(columns, contents, strict=True):
        column.frombytes(content)
    return Plan(found.model, *columns, found.models, found.model_numbers)
