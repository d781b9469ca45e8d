"""Long work of the event loop in turns: whoever else waits for an answer gets it in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TypeVar

TURN_SECONDS = 0.005

Given = TypeVar("Given")
Made = TypeVar("Made")


async def map_cooperatively(
    make: Callable[[Given], Made], items: Iterable[Given], *, turn_seconds: float = TURN_SECONDS
) -> list[Made]:
    """What `make` makes of each item, in their order. One call of it is never interrupted."""
    made: list[Made] = []
    began = perf_counter()
    for item in items:
        made.append(make(item))
        if perf_counter() - began >= turn_seconds:
            await asyncio.sleep(0)
            began = perf_counter()
    return made
