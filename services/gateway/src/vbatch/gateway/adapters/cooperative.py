"""Splits long work into turns, so that the event loop can serve other requests in between."""

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
    """Return what `make` makes of each item, in order. A single call of `make` is never interrupted."""
    made: list[Made] = []
    began = perf_counter()
    for item in items:
        made.append(make(item))
        if perf_counter() - began >= turn_seconds:
            await asyncio.sleep(0)
            began = perf_counter()
    return made
