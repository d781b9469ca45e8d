"""Tracks which line of which slice is waiting, inside the engine or done. It says what to feed next; it does not feed.

Slices run in the order in which they came, and lines in their own order. But requests of one group, in any of the
slices, run one after the other, so that the engine computes their shared prefix once. Only the slices at the front that
share the first slice's model may be fed, so a slice for another model is a boundary: the model changes when everything
before it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from vbatch.contracts.ids import BatchId, ModelId, SliceId
from vbatch.contracts.orders import FailSlice, LoadModel, RunSlice

SLICES_READ_AHEAD, REQUESTS_READ_AHEAD = 3, 512
"""Slices whose requests are held in memory: the running one, the next and one more; or, if they are short, as many
slices as hold this many requests."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent; `body` is what the client wrote."""

    slice_id: SliceId
    line: int
    custom_id: str
    endpoint: str
    body: bytes
    group: int = 0
    place: str = ""
    """The place of the request, which is the same in every process of a runner."""


@dataclass(frozen=True, slots=True)
class Remainder:
    """The undone lines of a slice that was closed early, in order; `suspects` were inside the engine."""

    order: RunSlice | FailSlice
    lines: tuple[int, ...]
    suspects: tuple[int, ...]


@dataclass(slots=True)
class _OpenSlice:
    order: RunSlice
    opened_at: float
    is_read: bool = False
    waiting: dict[int, deque[Request]] = field(default_factory=dict)
    inside: set[int] = field(default_factory=set)
    unfinished: set[int] = field(default_factory=set)

    def read(self, requests: Iterable[Request]) -> None:
        """Store the requests by group, in the order of each group's first request; a request without a group is its
        own."""
        self.is_read = True
        for request in requests:
            self.waiting.setdefault(request.group or -request.line, deque()).append(request)

    def has_next(self, group: int) -> bool:
        return group in self.waiting

    def take(self, group: int) -> Request:
        """Return the next request of this group, or of the first group if this one has none."""
        key = group if group in self.waiting else next(iter(self.waiting))
        request = self.waiting[key].popleft()
        if not self.waiting[key]:
            del self.waiting[key]
        return request

    @property
    def has_begun(self) -> bool:
        """Whether any of its requests is inside the engine or done."""
        return bool(self.inside) or len(self.unfinished) < len(self.order.requests)

    def remainder(self) -> Remainder:
        return Remainder(self.order, tuple(sorted(self.unfinished)), tuple(sorted(self.inside)))


@dataclass(frozen=True, slots=True)
class ClientLoad:
    """A model that clients wait for; the slices `after` run first, because they had begun when it was ordered."""

    model: ModelId
    stay_seconds: float
    opened_at: float
    after: frozenset[SliceId]


class Feed:
    """The open slices of one runner, and the model that clients wait for."""

    def __init__(self) -> None:
        self._slices: dict[SliceId, _OpenSlice] = {}
        self._load: ClientLoad | None = None
        self._group = 0  # the group of the last request taken

    def open(self, order: RunSlice, now: float) -> None:
        unfinished = {request.line for request in order.requests}
        self._slices[order.slice_id] = _OpenSlice(order, now, unfinished=unfinished)

    @property
    def model_wanted(self) -> ModelId | None:
        """The model of the oldest slice that is not done, or the one that clients wait for, once it is its turn."""
        if (load := self.load_due) is not None:
            return load.model
        oldest = next(iter(self._slices.values()), None)
        return oldest.order.model if oldest else None

    @property
    def load_due(self) -> ClientLoad | None:
        """The model that clients wait for, once no slice that had begun is left; it stays due until `end_load`."""
        is_due = self._load is not None and self._load.after.isdisjoint(self._slices)
        return self._load if is_due else None

    def open_load(self, order: LoadModel, now: float) -> None:
        """Load this model before running any slice that has not begun. The order replaces an earlier order to load."""
        begun = frozenset(slice_id for slice_id, slice_ in self._slices.items() if slice_.has_begun)
        self._load = ClientLoad(order.model, order.stay_seconds, now, begun)

    def end_load(self, load: ClientLoad) -> None:
        """The model has stayed long enough; a newer order is not touched."""
        if self._load is load:
            self._load = None

    @property
    def model_next(self) -> ModelId | None:
        """The model to run after the current one's slices; if no slice for another model has arrived, the one whose
        work waits."""
        wanted, orders = self.model_wanted, [slice_.order for slice_ in self._slices.values()]
        behind = [
            *([self._load.model] if self._load else []),
            *(order.model for order in orders),
            *(order.model_behind for order in reversed(orders)),
        ]
        return next((model for model in behind if model not in (wanted, None)), None)

    @property
    def wanted_since(self) -> float:
        """When the oldest slice arrived, or the order to load if it is due; 0 if there is neither."""
        if (load := self.load_due) is not None:
            return load.opened_at
        return next((slice_.opened_at for slice_ in self._slices.values()), 0.0)

    @property
    def waiting_count(self) -> int:
        return sum(len(slice_.unfinished) - len(slice_.inside) for slice_ in self._slices.values())

    @property
    def inside_count(self) -> int:
        return sum(len(slice_.inside) for slice_ in self._slices.values())

    @property
    def slice_count(self) -> int:
        return len(self._slices)

    def has(self, slice_id: SliceId) -> bool:
        return slice_id in self._slices

    def next_unread(self) -> RunSlice | None:
        """Return the next slice whose requests must be read; None while enough of them are in memory."""
        held = 0
        for number, open_slice in enumerate(self._slices.values()):
            if number >= SLICES_READ_AHEAD and held >= REQUESTS_READ_AHEAD:
                return None
            if not open_slice.is_read:
                return open_slice.order
            held += len(open_slice.unfinished)
        return None

    def put(self, slice_id: SliceId, requests: Iterable[Request]) -> None:
        """Store the requests of a slice; a slice that was closed in the meantime stays closed."""
        if found := self._slices.get(slice_id):
            found.read(requests)

    def take(self) -> Request | None:
        """Return the next request to feed and count it as inside; None if no request for the front model is ready."""
        ready = [open_slice for open_slice in self._front() if open_slice.waiting]
        if not ready:
            return None
        found = next((open_slice for open_slice in ready if open_slice.has_next(self._group)), ready[0])
        request = found.take(self._group)
        self._group = request.group
        found.inside.add(request.line)
        return request

    def _front(self) -> Iterator[_OpenSlice]:
        """Yield the slices that may be fed."""
        model, load = self.model_wanted, self._load
        before = load.after if load is not None and self.load_due is None else None
        return takewhile(
            lambda slice_: (
                slice_.order.model == model and slice_.is_read and (before is None or slice_.order.slice_id in before)
            ),
            self._slices.values(),
        )

    def finish(self, request: Request) -> bool:
        """Whether the request was still open: False if its slice was closed while it ran."""
        found = self._slices.get(request.slice_id)
        if found is None:
            return False
        found.inside.discard(request.line)
        found.unfinished.discard(request.line)
        if not found.unfinished:
            del self._slices[request.slice_id]
        return True

    def close(self, slice_id: SliceId) -> Remainder:
        """Close the slice and return what is left of it."""
        return self._slices.pop(slice_id).remainder()

    def pause_batch(self, batch_id: BatchId) -> list[Remainder]:
        """Give up the batch's requests that are not inside; a slice with requests inside continues with those."""
        held = [self._pause(slice_) for slice_ in list(self._slices.values()) if slice_.order.batch_id == batch_id]
        return [slice_ for slice_ in held if slice_.lines]

    def pause_all(self) -> list[Remainder]:
        """Give up all requests that are not inside, and load no model for clients."""
        self._load = None
        held = [self._pause(slice_) for slice_ in list(self._slices.values())]
        return [slice_ for slice_ in held if slice_.lines]

    def _pause(self, found: _OpenSlice) -> Remainder:
        if not found.inside:
            return self.close(found.order.slice_id)
        outside = tuple(sorted(found.unfinished - found.inside))
        found.unfinished &= found.inside
        found.waiting.clear()
        return Remainder(found.order, outside, ())

    def close_batch(self, batch_id: BatchId) -> list[Remainder]:
        return self._close(slice_.order for slice_ in self._slices.values() if slice_.order.batch_id == batch_id)

    def close_model(self, model: ModelId) -> list[Remainder]:
        """Close the slices of a model, and no longer load it for clients."""
        if self._load is not None and self._load.model == model:
            self._load = None
        return self._close(slice_.order for slice_ in self._slices.values() if slice_.order.model == model)

    def close_all(self) -> list[Remainder]:
        return self._close(slice_.order for slice_ in self._slices.values())

    def _close(self, orders: Iterable[RunSlice]) -> list[Remainder]:
        return [self.close(order.slice_id) for order in list(orders)]
