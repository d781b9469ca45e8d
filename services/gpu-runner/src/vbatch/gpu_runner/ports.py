"""What the runner asks of the world besides the journal: engines, input files, room for large answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from vbatch.contracts.models import ModelDefinition
from vbatch.contracts.orders import RequestRef
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.profile import Profile

Clock = Callable[[], datetime]
"""Aware UTC."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after` is the pause the engine asked for, in seconds."""

    status_code: int
    body: bytes
    retry_after: float | None = None


class ConnectionLost(Exception):
    """The engine did not answer this request; it may be gone, or may only have closed a connection."""


class RequestTimedOut(Exception):
    """The engine did not answer within the time limit of a request."""


class AnswerTooLarge(Exception):
    """The answer exceeds what is taken into memory; the text says how much that is."""


class EngineFailed(Exception):
    """The engine did not come up; the text is the end of its own words."""


class InputUnreadable(Exception):
    """The input file is not there or not what was validated; trying again will not help."""


Gate: TypeAlias = Callable[[], Awaitable[None]]
"""Returns as soon as a request may leave; at once, without a turn of the loop, while it may anyway."""


async def open_gate() -> None:
    """It may."""


class Engine(Protocol):
    """A server that answers, until it is stopped or gone."""

    @property
    def definition(self) -> ModelDefinition: ...

    @property
    def concurrency(self) -> int:
        """Requests to keep inside it at once, to begin with."""

    async def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate) -> Answer:
        """Raises ConnectionLost, RequestTimedOut, AnswerTooLarge. Cancelling it takes the request back.

        The gate is passed right before the request leaves, when there is a connection for it.
        """

    async def is_healthy(self) -> bool: ...

    async def progress(self) -> str | None:
        """A text that changes while the engine works; None when it does not tell."""

    async def stats(self) -> EngineStats | None:
        """How busy it says it is; None when it does not tell."""

    async def metrics(self) -> bytes:
        """What it shows to Prometheus, as text; empty when it shows nothing."""

    async def gone(self) -> str:
        """Return how it ended, once it has; never for one that is not ours to watch."""

    async def release(self) -> None:
        """Not wanted for now, and well: the launcher may keep it loaded, until it launches or closes."""

    async def stop(self) -> None:
        """Return when none of its processes is left, or the kernel will not let one go."""


class Launcher(Protocol):
    async def profile(self, definition: ModelDefinition) -> Profile:
        """How the model would be launched now, with what the device chooses for it."""

    async def launch(self, definition: ModelDefinition) -> Engine:
        """Wait until the memory of the engine before is free; return when the new one answers. Raises EngineFailed."""

    async def expect(self, definition: ModelDefinition) -> None:
        """Make the start of a model that is likely next shorter. That may take some of the machine's time from the one
        that runs, so it is not called for nothing."""

    async def close(self) -> None:
        """End what it keeps ready for the next launch."""


class InputFiles(Protocol):
    async def read(self, blob: str, requests: Sequence[RequestRef]) -> list[bytes]:
        """The lines of these requests, in their order. Raises InputUnreadable."""


class AnswerFiles(Protocol):
    async def put(self, blob: str, body: bytes) -> None:
        """Store an answer durably."""
