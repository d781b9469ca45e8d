"""The answers of several batches as one list: which of a request's answers counts, and where it is stored.

A family is a batch with its direct and indirect retries. Of all answers to one `custom_id` in a family the newest
successful one counts; if none was successful, the newest counts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vbatch.gateway.core.records import BatchRecord

FAMILY_MAX = 1_000
"""The most batches of one family that are read, oldest first."""


class MergedPlace(NamedTuple):
    """The place of the output line that counts: in the growing JSONL of the member at this index."""

    member: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Member:
    """A batch whose answers are merged. Within one `group` a newer answer replaces an older one; answers of different
    groups are shown side by side."""

    batch: BatchRecord
    group: int = 0


@dataclass(slots=True)
class MergedPlaces:
    """The places of a million answers take 17 MB. Those of one `custom_id` follow each other, by group."""

    _members: array[int] = field(default_factory=lambda: array("I"))
    _starts: array[int] = field(default_factory=lambda: array("Q"))
    _lengths: array[int] = field(default_factory=lambda: array("I"))
    _begins: bytearray = field(default_factory=bytearray)
    _last: tuple[int, int] = (0, 0)

    def add(self, place: MergedPlace, request: tuple[int, int]) -> None:
        """Add the next answer; `request` names the oldest batch that has the request, and its line there."""
        self._members.append(place.member)
        self._starts.append(place.start)
        self._lengths.append(place.length)
        self._begins.append(request != self._last)
        self._last = request

    def __len__(self) -> int:
        return len(self._members)

    def pages(self, limit: int) -> Iterator[list[MergedPlace]]:
        """Yield all places, about `limit` at a time; the answers to one request are never split."""
        first = 0
        while first < len(self):
            end = min(first + limit, len(self))
            while end < len(self) and not self._begins[end]:
                end += 1
            yield [MergedPlace(self._members[n], self._starts[n], self._lengths[n]) for n in range(first, end)]
            first = end


def runs(places: Sequence[MergedPlace]) -> Iterator[tuple[int, list[MergedPlace]]]:
    """Yield neighbouring places in the same file together, so that they are read at once."""
    run: list[MergedPlace] = []
    for place in places:
        if run and run[0].member != place.member:
            yield run[0].member, run
            run = []
        run.append(place)
    if run:
        yield run[0].member, run
