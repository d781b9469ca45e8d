"""What a single writer sets aside so that no message can stop it, and how it remembers where it ended.

Two things are set aside: a write that the log permanently refuses, and a place in the work where the service has ended
because of an error of its own ENDS_MAX times in a row. Each becomes a dead letter and is reported, to be counted and
logged.

Notes that outlive the process hold the number of ends. An end from outside (a kill, a lost machine) leaves no note: no
message must be blamed for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Protocol

import msgspec

from vbatch.contracts.bounds import cut
from vbatch.contracts.message import MESSAGE_ID_HEADER, Message, Recorded
from vbatch.journal.port import Conflict, ConnectionLost, DeadLetters, Full, Origin, Rejected, Unavailable

ENDS_MAX = 3
PLACES_MAX = 1_000
"""The limit on remembered places. Beyond it the oldest is forgotten, and found again if necessary."""
ERROR_BYTES_MAX = 500
BODY_BYTES_MAX = 16 * 1024
"""The number of bytes of a refused write that its dead letter keeps: the write may have been refused for its size."""
TROUBLE: tuple[type[Exception], ...] = (Conflict, ConnectionLost, Unavailable, Full)
"""Ends that say nothing about a place: the log was unavailable or full, or another process took over."""


class Cause(StrEnum):
    """Why something was set aside."""

    REFUSED = "refused"
    POISON = "poison"


class CrashNotes(Protocol):
    """A few kilobytes that outlive the process. Both methods raise OSError."""

    def load(self) -> bytes:
        """Return what was saved last; empty if nothing was saved."""

    def save(self, content: bytes) -> None: ...


class ForgottenNotes:
    """For a process without a folder: every process starts with no notes."""

    def __init__(self) -> None:
        self.content = b""

    def load(self) -> bytes:
        return self.content

    def save(self, content: bytes) -> None:
        self.content = content


@dataclass(frozen=True, slots=True)
class QuarantineMeans:
    """What a quarantine works with. `on_set_aside` gets the cause, the place or message id, and the reason."""

    notes: CrashNotes = field(default_factory=ForgottenNotes)
    on_set_aside: Callable[[Cause, str, str], None] = lambda _cause, _place, _reason: None


class _SetAside(msgspec.Struct):
    reason: str
    is_told: bool = False


class _Notes(msgspec.Struct):
    """Where the service last ended, how often in a row, and the places that it has skipped since."""

    place: str = ""
    ends: int = 0
    places: dict[str, _SetAside] = {}


class Quarantine:
    """The quarantine of one service. `passing` lists further exceptions that say nothing about a place."""

    def __init__(self, dead: DeadLetters, means: QuarantineMeans, *, passing: tuple[type[Exception], ...] = ()) -> None:
        self._dead = dead
        self._means = means
        self._passing = (*TROUBLE, *passing)
        self._notes = _read(means.notes)

    @property
    def last_place(self) -> str:
        """Where the previous process ended; empty if it did not end because of an error of its own."""
        return self._notes.place

    def watch(self, place: str) -> AbstractContextManager[None]:
        """Record an exception that leaves the block as an end at this place, and let it propagate."""
        return _Watch(self, place)

    def is_poison(self, place: str) -> bool:
        return place in self._notes.places if self._notes.places else False

    def reason(self, place: str) -> str:
        """Return why a place is poison."""
        return self._notes.places[place].reason

    async def bury(self, record: Recorded, place: str) -> None:
        """Make a dead letter, once, for the record at a poison place."""
        found = self._notes.places[place]
        if found.is_told:
            return
        with suppress(Rejected):  # the record stays in the log
            await self._dead.append(record, found.reason)
        self._means.on_set_aside(Cause.POISON, place, found.reason)
        found.is_told = True
        self._save()

    def tell(self, place: str) -> None:
        """Report a poison place that has no record."""
        found = self._notes.places[place]
        if not found.is_told:
            self._means.on_set_aside(Cause.POISON, place, found.reason)
            found.is_told = True
            self._save()

    async def refuse(self, message: Message, refusal: Rejected) -> None:
        """Make a dead letter of the message, with its body cut."""
        reason = f"{Cause.REFUSED}: {refusal}"
        with suppress(Rejected):  # nothing of it can be stored; the report below says that it existed
            await self._dead.append(_as_record(message), reason, Origin.WRITE)
        self._means.on_set_aside(Cause.REFUSED, message.message_id, reason)

    def note(self, place: str, error: Exception) -> None:
        """Note that the service ends here because of an error of its own."""
        if isinstance(error, self._passing):
            return
        notes = self._notes
        notes.ends = notes.ends + 1 if notes.place == place else 1
        notes.place = place
        if notes.ends >= ENDS_MAX:
            words = cut(f"{type(error).__name__}: {error}", ERROR_BYTES_MAX)
            self._set_aside(place, f"{Cause.POISON}: ended the service {notes.ends} times in a row: {words}")
            notes.place, notes.ends = "", 0
        self._save()

    def _set_aside(self, place: str, reason: str) -> None:
        """Set the place aside. Beyond PLACES_MAX the oldest place is forgotten."""
        places = self._notes.places
        places[place] = _SetAside(reason)
        while len(places) > PLACES_MAX:
            del places[next(iter(places))]

    def _save(self) -> None:
        with suppress(OSError):  # it is noted the next time; until then the service only ends once more
            self._means.notes.save(msgspec.json.encode(self._notes))


class _Watch(AbstractContextManager[None]):
    """A class, because a generator costs three times as much, and there is one around each event and request."""

    __slots__ = ("_place", "_quarantine")

    def __init__(self, quarantine: Quarantine, place: str) -> None:
        self._quarantine = quarantine
        self._place = place

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._quarantine.note(self._place, error)


def place_of(record: Recorded) -> str:
    """Return the place of an event of the log."""
    return f"log:{record.sequence}"


def _read(notes: CrashNotes) -> _Notes:
    """Return the saved notes; empty if they cannot be read, because they only save the time to find a place again."""
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(notes.load(), type=_Notes)
    return _Notes()


def _as_record(message: Message) -> Recorded:
    """Return the message as if it had been stored, at no sequence."""
    headers = {**message.headers, MESSAGE_ID_HEADER: message.message_id}
    return Recorded(0, message.subject, headers, message.body[:BODY_BYTES_MAX], datetime.now(UTC))
