"""Times as an operator writes them, and their place in the log."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from vbatch.cli.exits import Misused
from vbatch.contracts.message import Recorded
from vbatch.journal.port import Log

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(\d{1,6})([smhd])")
HELP = "a time like 2030-01-01T12:00 (in this machine's zone unless it names one), or an age like 15m, 2h or 1d"


def time_spec(text: str, now: datetime) -> datetime:
    """Parse a time. Raises Misused."""
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Misused(f"{text!r} is not a time: give {HELP}.") from error


def later(text: str, now: datetime) -> datetime:
    """Return the end of a time from now, such as 90d, or a time such as 2030-01-01T12:00. Raises Misused."""
    try:
        if span := _AGO.fullmatch(text):
            return now + timedelta(**{UNITS[span[2]]: int(span[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Misused(
            f"{text!r} is no moment: give a time like 2030-01-01T12:00, or how long from now, like 90d."
        ) from error


async def last_before(log: Log, when: datetime) -> int:
    """Return the last sequence recorded before `when`; 0 if there is none. Reads about twenty events."""
    low, high = 0, await log.last_sequence()
    while low < high:
        middle = (low + high + 1) // 2
        record = await event_at(log, middle)
        low, high = (middle, high) if record is not None and record.recorded_at < when else (low, middle - 1)
    return low


async def event_at(log: Log, sequence: int) -> Recorded | None:
    """Return the event with exactly this sequence."""
    if not 0 < sequence <= await log.last_sequence():
        return None
    async with log.tail(sequence - 1) as arrivals:
        record = (await anext(arrivals))[0]
    return record if record.sequence == sequence else None
