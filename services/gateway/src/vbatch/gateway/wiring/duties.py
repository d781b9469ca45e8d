"""The background work of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol


class Duty(Protocol):
    async def run(self) -> None: ...


@asynccontextmanager
async def beside(*duties: Duty) -> AsyncIterator[None]:
    """Run the duties while the block runs."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(duty.run()) for duty in duties]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
