"""Server-sent events: parses the stream, and follows a batch across lost connections.

Resuming by Last-Event-ID makes every event seen once; the server guarantees the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from vbatch.cli.client import Server
from vbatch.cli.exits import Unreachable

RETRIES_MAX = 12
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """`id` is the sequence in the log, or 0 if the server sent none."""

    id: int
    name: str
    data: bytes


async def parse(lines: AsyncIterable[bytes]) -> AsyncIterator[ServerEvent]:
    """Parse a text/event-stream (HTML Standard, 9.2.6); comments are skipped, a truncated record is dropped."""
    fields: dict[bytes, bytes] = {}
    async for line in lines:
        line = line.rstrip(b"\r\n")
        if not line:
            if b"data" in fields:
                yield _record(fields)
            fields = {}
        elif not line.startswith(b":"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            fields[name] = fields[name] + b"\n" + value if name == b"data" and name in fields else value


async def follow(server: Server, batch_id: str, after: int = 0) -> AsyncIterator[ServerEvent]:
    """Yield every event of the batch after sequence `after`, each once, forever: the reader stops when it wants.

    A lost connection is opened again. Raises Unreachable after `RETRIES_MAX` tries in a row without an event.
    """
    failures = 0
    while True:
        trouble = Unreachable(f"The event stream of {batch_id} keeps ending early. Try again.")
        try:
            async with server.events(batch_id, after) as lines:
                async for event in parse(lines):
                    if event.id == 0 or event.id > after:
                        after, failures = max(after, event.id), 0
                        yield event
        except Unreachable as error:
            trouble = error
        failures += 1
        if failures > RETRIES_MAX:
            raise trouble
        await asyncio.sleep(min(RETRY_SECONDS * failures, RETRY_SECONDS_MAX))


def _record(fields: dict[bytes, bytes]) -> ServerEvent:
    identity = fields.get(b"id", b"")
    return ServerEvent(
        int(identity) if identity.isdigit() else 0, fields.get(b"event", b"message").decode(), fields[b"data"]
    )
