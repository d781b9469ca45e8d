"""What the journal promises to its users: messages, guards, leases and the four things one can do with a log.

Nothing here knows NATS; `jetstream` keeps these promises on a real server and `memory` keeps them in one process.
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
"""On a record read with `headers_only`: how many bytes its body has."""

APPEND_ALL_MESSAGES_MAX = 1000
"""The server's limit of one atomic batch (ADR-50)."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Optimistic concurrency: the last sequence on `subject_filter` is still `sequence`; 0 says nothing is there yet.

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
        """Holds until a newer lease is appended; the server itself then refuses what carries it."""
        return Guard(self.subject, self.epoch)


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a stream is, in bytes as the server counts them: uncompressed."""

    bytes: int
    bytes_max: int


class Conflict(Exception):
    """The guard did not hold: someone else appended, or a newer lease exists. Decide again, or stop."""


class Unavailable(Exception):
    """Trouble that a retry can help. The append may be stored; the same message may be sent again safely."""


class Full(Exception):
    """The stream refuses for want of room. The writer must stop: a smaller message might still fit and leave a gap."""


class Rejected(Exception):
    """The message is refused for good: too large with its headers, or a malformed subject, id or header."""


class Log(Protocol):
    """The ordered truth (stream EVT)."""

    async def append(self, message: Message, guard: Guard | None = None) -> int:
        """Store one message and return its sequence.

        Retried until the deadline, and idempotent: when the newest message under the guard is this very message,
        its sequence is returned instead of a Conflict. Raises Conflict, Unavailable, Full, Rejected.
        """

    async def append_all(self, messages: Sequence[Message], guard: Guard | None = None) -> int:
        """Store 1 to 1000 messages, all or none and without others between them; return the last sequence.

        Conflict also says that only some of the messages are stored already.
        """

    def tail(
        self, after: int, subjects: Sequence[str] = ("evt.>",), *, headers_only: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[list[Recorded]]]:
        """Read what follows sequence `after`, for ever, in order, without gaps or repeats, across reconnects.

        Each list is what has arrived, never empty. With `headers_only` bodies are empty and MESSAGE_SIZE_HEADER is set.
        The iteration raises Unavailable when the server refuses the reader (no such stream) beyond the deadline.
        """

    async def last(self, subject_filter: str) -> Recorded | None:
        """The newest message on the filter, as the stream's leader knows it."""

    async def last_sequence(self) -> int:
        """The head of the log; 0 when nothing was ever stored."""

    async def fill(self) -> Fill:
        """How much of its limit the log has used."""

    async def acquire(self, message: Message) -> Lease:
        """Append a lease behind whatever lease its subject has; every earlier epoch is powerless from then on."""


class Publisher(Protocol):
    """Bounded pipelined appends in order, each once, all under one lease."""

    async def publish(
        self,
        message: Message,
        on_stored: Callable[[int], None] | None = None,
        on_refused: Callable[[Rejected], None] | None = None,
    ) -> None:
        """Return when there is room for the message; `on_stored` gets its sequence, in the order of publishing.

        A message that is refused for good is left out, and the others go on: `on_refused` gets the reason, at once or
        later. Without it the refusal is raised, like what else an earlier message met, for good: Conflict says that
        this writer is fenced. Messages after one that failed may be stored or not, and their `on_stored` is never
        called.
        """

    async def flush(self) -> int:
        """Wait until everything is stored; the sequence of the last message stored by this publisher, or 0."""


class Delivery(Protocol):
    """One order taken from the work queue, to be settled once by ack, nak or dead_letter.

    The queue keeps it alive until then. A second settlement raises RuntimeError: that is a bug of the caller.
    """

    @property
    def message(self) -> Recorded: ...

    @property
    def delivery_count(self) -> int:
        """1 on the first delivery."""

    async def ack(self) -> None:
        """Done. Normally confirmed by the server; a confirmation lost in a crash can bring the order again."""

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Not now: deliver it again, to anyone, after the delay."""

    async def dead_letter(self, reason: str) -> None:
        """Never again: store it with the reason among the dead letters, then take it off the queue."""


class WorkQueue(Protocol):
    """References to work (stream WORK), rebuildable from the log. At least once: acks never fence."""

    async def put(self, message: Message) -> int: ...

    def take(self, subject: str, consumer: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Deliveries on `subject`, shared by all who take as `consumer`; what is unsettled on leaving goes back."""

    async def is_awaited(self, consumer: str) -> bool:
        """Whether somebody waits now for the next delivery as `consumer`. Between two asks of a live taker it may be
        false for a moment, and for longer while it holds as many as it may. Raises Unavailable."""


class Origin(StrEnum):
    """Where a dead letter came from."""

    LOG = "log"
    WORK = "work"
    WRITE = "write"
    """It was never stored: a write that was refused for good, with its body cut. Its sequence is 0."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message nobody could use: `original` as it was (recorded_at is its burial), with the reason."""

    sequence: int
    reason: str
    origin: Origin
    original: Recorded


class DeadLetters(Protocol):
    """What could not be read or was refused for good, kept visible (stream DEAD)."""

    async def append(self, record: Recorded, reason: str, origin: Origin = Origin.LOG) -> int:
        """Store once per origin and sequence, or message id of a refused write; the sequence of the dead letter."""

    async def list(self, after: int = 0, limit: int = 100) -> list[DeadLetter]:
        """Oldest first, from sequence `after` + 1; at most `limit`."""

    async def get(self, sequence: int) -> DeadLetter | None:
        """None when it was never there or is dropped."""

    async def drop(self, sequence: int) -> None:
        """Settled: forget it. One that is not there is dropped already."""

    async def count(self) -> int:
        """How many wait for somebody to look at them."""


class WaitingWrites(Protocol):
    """Why writes of one connection wait for room, if any do."""

    @property
    def refusal(self) -> str | None: ...

    def watch(self, watcher: Callable[[str | None], None]) -> None:
        """Have it called with the refusal when the first write begins to wait, with None when the last one went on."""


class Journal(Protocol):
    """One service's connection to all of it."""

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
        """Set when the connection will never come back: the process must exit and be started again."""

    def publisher(self, lease: Lease | None = None) -> AbstractAsyncContextManager[Publisher]:
        """Leaving the context flushes, unless it is left by an exception."""

    async def topology(self) -> None:
        """Make the streams, or bring them to the settings; TopologyMismatch when that cannot be."""


class TopologyMismatch(Exception):
    """An existing stream differs in something that may not be changed; the text names each difference."""
