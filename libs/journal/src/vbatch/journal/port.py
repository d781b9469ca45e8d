"""What the journal promises to its users: messages, guards, leases and the four operations on a log.

Nothing here knows NATS. `jetstream` keeps these promises on a real server, and `memory` keeps them in one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from vbatch.contracts.message import Message, Recorded

MESSAGE_SIZE_HEADER = "Nats-Msg-Size"
"""The header, on a record read with `headers_only`, that holds the size of its body in bytes."""

APPEND_ALL_MESSAGES_MAX = 1000
"""The server's limit of one atomic batch (ADR-50)."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Optimistic concurrency: the last sequence on `subject_filter` is still `sequence`; 0 if nothing is there yet.

    All writers of one aggregate must use the same filter text: a clustered server keys its check by it.
    """

    subject_filter: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The fence of a single-writer service: its `epoch` is the sequence of the lease on `subject`."""

    subject: str
    epoch: int

    def guard(self) -> Guard:
        """A guard that holds until a newer lease is appended. From then on the server refuses messages that carry
        it."""
        return Guard(self.subject, self.epoch)


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a stream is, in bytes as the server counts them: uncompressed."""

    bytes: int
    bytes_max: int


class Conflict(Exception):
    """The guard did not hold: another writer appended, or a newer lease exists. Decide again, or stop."""


class Fenced(Conflict):
    """A newer lease exists: this process is fenced and must end."""


class ConnectionLost(Exception):
    """The connection to the journal will never come back: the process must end, so that another one starts."""


class Unavailable(Exception):
    """A failure that a retry can help. The append may have been stored; the same message can safely be sent again."""


class Full(Exception):
    """The stream has no room. The writer must stop: a smaller message might still fit and leave a gap."""


class Rejected(Exception):
    """The message is permanently refused: too large with its headers, or a malformed subject, id or header."""


class Log(Protocol):
    """The ordered source of truth (stream EVT)."""

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        """Store one message and return its sequence.

        It is retried until the deadline, and idempotent: when the newest message under the guard is this very message,
        its sequence is returned instead of a Conflict. Raises Conflict, Unavailable, Full, Rejected.
        """

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        """Store 1 to 1000 messages, all or none and without others between them; return the last sequence.

        Conflict may also mean that only some of the messages are stored already.
        """

    def tail(
        self, after: int, subjects: Sequence[str] = ("evt.>",), *, headers_only: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[list[Recorded]]]:
        """Read everything after sequence `after`, without end, in order, without gaps or repeats, across reconnects.

        Each list holds what has arrived and is never empty. With `headers_only` bodies are empty and
        MESSAGE_SIZE_HEADER is set. The iteration raises Unavailable when the server refuses the reader (no such stream)
        beyond the deadline.
        """

    async def last(self, subject_filter: str) -> Recorded | None:
        """Return the newest message on the filter, as the stream's leader knows it."""

    async def last_sequence(self) -> int:
        """Return the sequence of the newest message in the log; 0 if nothing was ever stored."""

    async def fill(self) -> Fill:
        """Return how much of its limit the log has used."""

    async def acquire(self, message: Message) -> Lease:
        """Append a lease after the current lease of its subject. From then on every earlier epoch is fenced."""


class LogPurge(Protocol):
    """Removes from the log what an archive holds. Only one user of the server has the right to do this."""

    async def purge(self, subject: str, through: int) -> int:
        """Remove the messages on `subject`, which has no wildcard, up to and including sequence `through`.

        Returns how many were removed; the others keep their sequences. Raises Unavailable, Rejected.
        """


class Publisher(Protocol):
    """Bounded pipelined appends in order, each stored once, all under one lease."""

    async def publish(
        self,
        message: Message,
        on_stored: Callable[[int], None] | None = None,
        on_refused: Callable[[Rejected], None] | None = None,
    ) -> None:
        """Return when there is room for the message. `on_stored` gets its sequence, in the order of publishing.

        A message that is permanently refused is left out, and the others continue: `on_refused` gets the reason, at
        once or later. Without `on_refused` the refusal is raised, at once or by a later call. Any other error of an
        earlier message is raised by every call from then on: Conflict says that this writer is fenced. Messages after
        one that failed may be stored or not, and their `on_stored` is never called.
        """

    async def flush(self) -> int:
        """Wait until everything is stored; return the sequence of this publisher's last stored message, or 0."""


class Delivery(Protocol):
    """One order taken from the work queue, to be settled once by ack, nak or dead_letter.

    The queue keeps it alive until then. A second settlement raises RuntimeError: it is a bug of the caller.
    """

    @property
    def message(self) -> Recorded: ...

    @property
    def delivery_count(self) -> int:
        """1 on the first delivery."""

    async def ack(self) -> None:
        """The order is done. Normally the server confirms this; if a crash loses that, the order can come again."""

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Deliver the order again after the delay, to any taker."""

    async def dead_letter(self, reason: str) -> None:
        """Never deliver the order again: store it with the reason among the dead letters, then take it off the
        queue."""


class WorkQueue(Protocol):
    """References to work (stream WORK), which can be rebuilt from the log. Delivery is at least once: acks never
    fence."""

    async def put(self, message: Message) -> int: ...

    def take(self, subject: str, consumer: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Yield deliveries on `subject`, shared by all takers that use the name `consumer`. Leaving the context returns
        unsettled ones."""

    async def is_awaited(self, consumer: str) -> bool:
        """Return whether a taker now waits for the next delivery as `consumer`.

        Between two requests of a live taker it may be false for a moment, and for longer while the taker holds as many
        deliveries as it may. Raises Unavailable.
        """


class Origin(StrEnum):
    """Where a dead letter came from."""

    LOG = "log"
    WORK = "work"
    WRITE = "write"
    """A write that was never stored, because it was permanently refused. Its body is cut and its sequence is 0."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be used, with the reason: `original` is unchanged, but its recorded_at is the time at
    which it was set aside."""

    sequence: int
    reason: str
    origin: Origin
    original: Recorded


class DeadLetters(Protocol):
    """Messages that could not be read or were permanently refused, kept visible (stream DEAD)."""

    async def append(self, record: Recorded, reason: str, origin: Origin = Origin.LOG) -> int:
        """Store the record once per origin and sequence, or per message id of a refused write; return the new
        sequence."""

    async def list(self, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Return the dead letters from sequence `after` + 1, oldest first, at most `limit`."""

    async def get(self, sequence: int) -> DeadLetter | None:
        """Return the dead letter; None if it never existed or was dropped."""

    async def drop(self, sequence: int) -> None:
        """Delete a dead letter that was handled. One that does not exist counts as dropped."""

    async def count(self) -> int:
        """Return the number of dead letters that are not dropped."""


class WaitingWrites(Protocol):
    """Why writes of one connection wait for room, if any wait."""

    @property
    def refusal(self) -> str | None: ...

    def watch(self, watcher: Callable[[str | None], None]) -> None:
        """Call the watcher with the refusal when the first write begins to wait, and with None when the last one
        continues."""


class Journal(Protocol):
    """One service's connection to all parts of the journal."""

    @property
    def waiting_writes(self) -> WaitingWrites: ...

    @property
    def log(self) -> Log: ...

    @property
    def work(self) -> WorkQueue: ...

    @property
    def dead(self) -> DeadLetters: ...

    @property
    def is_connected(self) -> bool: ...

    @property
    def dead_event(self) -> asyncio.Event:
        """Set when the connection will never come back: the process must exit and be restarted."""

    def publisher(self, lease: Lease | None = None) -> AbstractAsyncContextManager[Publisher]:
        """A publisher under the lease. Leaving the context flushes it, unless an exception leaves the block."""

    async def topology(self) -> None:
        """Create the streams, or adjust them to the settings. Raises TopologyMismatch when that is not possible."""


class TopologyMismatch(Exception):
    """An existing stream differs in a property that may not be changed. The text names each difference."""
