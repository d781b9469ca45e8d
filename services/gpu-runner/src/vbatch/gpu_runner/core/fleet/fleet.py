"""Which replica takes which request. Requests wait here until a replica has room for them.

A request without a group goes to the replica with the most room. The requests of a group share a prompt prefix and have
one home, so that one replica computes the prefix once; but a home never gets much more than its share, and a replica
with room never idles while a request waits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from vbatch.gpu_runner.core.fleet.adaptive_concurrency import AdaptiveConcurrency
from vbatch.gpu_runner.core.fleet.breaker import TRIAL_SHARE, Breaker, BreakerState
from vbatch.gpu_runner.core.fleet.rendezvous import ranked

REPLICAS_MAX = 256
SHARE_MAX = 1.25
"""How much more than its share of all requests a replica may have, inside and waiting, for the sake of prefixes."""
SLACK_SHARE = 0.25
"""A replica may have this share of its concurrency, whatever its share of all requests: when there is little to do,
prefixes count more."""
WAITING_SHARE = 0.25
"""Requests that wait here, as a share of those inside: among them, a replica with room finds requests of its own
groups."""
HOMES_MAX = 8_192
"""How many groups have their home remembered: those asked for last."""
REFUSAL_PAUSE_MIN, REFUSAL_PAUSE_MAX = 0.25, 5.0
"""Seconds before the next request to a replica that refuses although it has no other; doubled with each refusal."""
LOSS_PAUSE = 0.25
"""Seconds before the next request to a replica that lost one, where another replica takes requests: a process that dies
may still accept a connection."""


@dataclass(slots=True)
class Replica:
    """One server of a fleet. `inside` counts its batch requests, `lane_inside` those that clients wait for."""

    name: str
    concurrency: AdaptiveConcurrency
    breaker: Breaker = field(default_factory=Breaker)
    inside: int = 0
    lane_inside: int = 0
    resumes_at: float = 0.0
    """It gets no requests until then."""
    refusals: int = 0
    """The number of refusals since its last answer."""
    is_leaving: bool = False
    answered_count: int = 0
    refused_count: int = 0
    lost_count: int = 0
    heard_at: float = 0.0

    @property
    def load(self) -> float:
        return (self.inside + self.lane_inside) / self.concurrency.size

    @property
    def size(self) -> int:
        """How many batch requests it may have inside."""
        if self.breaker.state is BreakerState.CLOSED:  # asked for each replica with each request: the usual case first
            return self.concurrency.size
        if self.breaker.state is BreakerState.HALF_OPEN:
            return max(1, int(TRIAL_SHARE * self.concurrency.size))
        return 0

    def takes(self, now: float) -> bool:
        """Whether it takes requests at all, however many it has."""
        return self.size > 0 and now >= self.resumes_at and not self.is_leaving

    def has_room(self, now: float) -> bool:
        return self.inside < self.size and now >= self.resumes_at and not self.is_leaving


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits for a replica. `group` is 0 for one that shares no prefix."""

    group: int
    number: int = 0
    home: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    waiting: Waiting
    replica: Replica


class Fleet:
    """Times are seconds of any one clock. `start` is the concurrency with which each replica begins."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._replicas: dict[str, Replica] = {}
        self._queues: dict[str, OrderedDict[int, Waiting]] = {"": OrderedDict()}
        self._homes: OrderedDict[int, str] = OrderedDict()
        self._number = 0
        self.waiting_count = 0

    @property
    def replicas(self) -> Mapping[str, Replica]:
        return self._replicas

    @property
    def places(self) -> int:
        """How many requests to hand in: what the replicas take, and some that wait where there is a choice."""
        waiting = WAITING_SHARE if len(self._replicas) > 1 else 0.0
        return max(1, ceil(self._size * (1 + waiting)))

    @property
    def _size(self) -> int:
        return sum(replica.size for replica in self._replicas.values() if not replica.is_leaving)

    def is_answering(self) -> bool:
        """Whether any replica takes requests, or will after a pause that it has asked for."""
        return any(replica.size and not replica.is_leaving for replica in self._replicas.values())

    def has_other(self, than: Replica) -> bool:
        """Whether any replica but this one takes requests."""
        return any(each.size and not each.is_leaving for each in self._replicas.values() if each is not than)

    def follow(self, names: Sequence[str], now: float) -> None:
        """Set the replicas from now on. A replica that is no longer listed gets no further requests and finishes its
        own."""
        for name in names[:REPLICAS_MAX]:
            found = self._replicas.get(name)
            if found is None:
                self._replicas[name] = Replica(name, AdaptiveConcurrency(self._start), heard_at=now)
            else:
                found.is_leaving = False
        for name, replica in list(self._replicas.items()):
            if name not in names:
                replica.is_leaving = True
                self._forget_if_empty(replica)
        self._rehome(now)

    def wait(self, group: int, now: float) -> Waiting:
        """Add a waiting request; `assign` decides when it may leave."""
        self._number += 1
        waiting = Waiting(group, self._number)
        self._enqueue(waiting, now)
        return waiting

    def wait_again(self, waiting: Waiting, now: float) -> None:
        """Put a request that the replica did not answer back in the queue, before the requests that came later."""
        self._enqueue(waiting, now)
        self._queues[waiting.home].move_to_end(waiting.number, last=False)

    def withdraw(self, waiting: Waiting) -> None:
        """Remove a request that is no longer wanted."""
        queue = self._queues.get(waiting.home)
        if queue is not None and waiting.number in queue:
            del queue[waiting.number]
            self.waiting_count -= 1

    def assign(self, now: float) -> Iterator[Assignment]:
        """Yield which request may leave for which replica now. Each counts as inside from then on, until `release`."""
        while self.waiting_count:
            roomy = [replica for replica in self._replicas.values() if replica.has_room(now)]
            if not roomy:
                return
            replica = roomy[0] if len(roomy) == 1 else self._roomiest(roomy)
            waiting = self._next_for(replica)
            self.withdraw(waiting)
            self._enter(replica, now)
            yield Assignment(waiting, replica)

    def _roomiest(self, roomy: Sequence[Replica]) -> Replica:
        """The replica with the most room, if possible one for which a request waits."""
        own = [replica for replica in roomy if self._queues[""] or self._queues.get(replica.name)]
        return min(own or roomy, key=lambda replica: replica.load)

    def release(self, replica: Replica) -> None:
        """Note that a request has left the replica, whatever its outcome."""
        replica.inside -= 1
        self._forget_if_empty(replica)

    def for_client(self, tried: Sequence[str] = ()) -> Replica | None:
        """The replica for a request that a client waits for: the one with the most room, whether or not it is full."""
        able = [
            replica
            for replica in self._replicas.values()
            if replica.size and not replica.is_leaving and replica.name not in tried
        ]
        return min(able, key=lambda replica: replica.load, default=None)

    # what a replica reported

    def answered(self, replica: Replica, sent_at: float, now: float) -> None:
        """Note that the replica answered a request, and so had room for it."""
        replica.answered_count += 1
        replica.refusals, replica.heard_at = 0, now
        replica.breaker.answered()
        replica.concurrency.answered(sent_at, now)

    def refused(self, replica: Replica, sent_at: float, now: float, retry_after: float | None = None) -> None:
        """Note that the replica had no room for a request. `retry_after` is the pause that it asks for, in seconds, if
        any."""
        replica.refused_count += 1
        replica.refusals, replica.heard_at = replica.refusals + 1, now
        replica.concurrency.refused(sent_at, now, replica.inside)
        if retry_after is None and replica.inside <= 1:
            retry_after = min(REFUSAL_PAUSE_MIN * 2.0 ** min(replica.refusals - 1, 16), REFUSAL_PAUSE_MAX)
        if retry_after is not None:
            replica.resumes_at = max(replica.resumes_at, now + retry_after)
            self._rehome(now)

    def lost(self, replica: Replica, now: float, *, is_gone: bool = False) -> None:
        """Note that a connection with a request on it was lost. `is_gone`: the replica takes no connection or is
        silent."""
        replica.lost_count += 1
        if is_gone:
            replica.breaker.trip(now)
        else:
            replica.breaker.lost(now)
        if self.has_other(replica):
            replica.resumes_at = max(replica.resumes_at, now + LOSS_PAUSE)
        self._rehome(now)

    # homes

    def _enqueue(self, waiting: Waiting, now: float) -> None:
        waiting.home = self._home(waiting.group, now) if waiting.group and len(self._replicas) > 1 else ""
        self._queues.setdefault(waiting.home, OrderedDict())[waiting.number] = waiting
        self.waiting_count += 1

    def _home(self, group: int, now: float) -> str:
        """The home of a group: its present one, otherwise the first by preference that does not have too much
        already."""
        able = {replica.name: replica for replica in self._replicas.values() if replica.takes(now)}
        if not able:
            return ""
        total = sum([replica.inside for replica in able.values()]) + self.waiting_count + 1
        share = SHARE_MAX * total / sum([replica.size for replica in able.values()])
        home = self._homes.pop(group, "")
        if home not in able or not self._fits(able[home], share):
            preferred = ranked(group, sorted(able))
            home = next((name for name in preferred if self._fits(able[name], share)), preferred[0])
        self._homes[group] = home
        if len(self._homes) > HOMES_MAX:
            self._homes.popitem(last=False)
        return home

    def _fits(self, replica: Replica, share: float) -> bool:
        """Whether it may have one more; `share` is the most that is its due for each request of its size."""
        return self._held(replica) < max(share * replica.size, SLACK_SHARE * replica.size, 1)

    def _held(self, replica: Replica) -> int:
        return replica.inside + len(self._queues.get(replica.name, ()))

    def _rehome(self, now: float) -> None:
        """Move requests that wait for a replica that takes no requests to another replica."""
        taking = {replica.name for replica in self._replicas.values() if replica.takes(now)}
        moved = [waiting for name in {*self._queues} - taking - {""} for waiting in self._queues.pop(name).values()]
        self.waiting_count -= len(moved)
        for waiting in sorted(moved, key=lambda waiting: waiting.number):
            self._enqueue(waiting, now)

    def _next_for(self, replica: Replica) -> Waiting:
        """The oldest request that waits for this replica or for any; otherwise the oldest request of the longest
        queue."""
        offered = [queue for name in (replica.name, "") if (queue := self._queues.get(name))]
        if not offered:
            offered = [max(self._queues.values(), key=len)]
        return min((next(iter(queue.values())) for queue in offered), key=lambda waiting: waiting.number)

    def _enter(self, replica: Replica, now: float) -> None:
        if not replica.inside:
            replica.heard_at = now  # it had nothing to say before
        replica.inside += 1
        replica.concurrency.note_inside(replica.inside)

    def _forget_if_empty(self, replica: Replica) -> None:
        if replica.is_leaving and not replica.inside and self._replicas.get(replica.name) is replica:
            del self._replicas[replica.name]
