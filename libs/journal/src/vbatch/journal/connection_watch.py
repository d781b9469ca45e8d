"""Ends a process whose connection to the journal will never come back."""

from __future__ import annotations

from typing import NoReturn

from vbatch.journal.port import ConnectionLost, Journal


async def connection_lost(journal: Journal) -> NoReturn:
    """Wait beside the work. Raises ConnectionLost when the connection is permanently closed."""
    await journal.dead_event.wait()
    raise ConnectionLost("the connection to NATS is closed for good")
