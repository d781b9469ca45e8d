"""Records events, however long the log takes: it waits while the log is unreachable or full."""

from __future__ import annotations

import asyncio

from vbatch.chassis.logs import get_logger
from vbatch.contracts.events import Event
from vbatch.journal.port import Full, Unavailable
from vbatch.journal.single_writer import SingleWriter

RETRY_SECONDS = 1.0


async def record(writer: SingleWriter, *events: Event) -> None:
    """Record all events or none; return once this process has folded them. Raises Fenced."""
    while True:
        try:
            await writer.record(*events)
            return
        except (Unavailable, Full) as error:
            get_logger().warning("labeling_events_wait", reason=str(error))
            await asyncio.sleep(RETRY_SECONDS)
