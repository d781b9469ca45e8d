"""What the runner needs in addition to the journal: engines, input files, and storage for large answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from vbatch.contracts.events import EngineOrigin
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition
from vbatch.contracts.orders import RequestRef
from vbatch.gpu_runner.core.concurrency import EngineStats
from vbatch.gpu_runner.core.fleet.fleet import Replica
from vbatch.gpu_runner.core.idle_tuning import Tuned
from vbatch.gpu_runner.core.profile import Profile

Clock = Callable[[], datetime]
"""The current time, as aware UTC."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's HTTP answer; `retry_after` is the pause the engine asked for, in seconds."""

    status_code: int
    body: bytes
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class OpenAnswer:
    """An engine's HTTP answer whose body is still to come; `pieces` raises as `Engine.open` does."""

    status_code: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]


class ConnectionLost(Exception):
    """Raised when the engine did not answer this request; it may have died or only closed a connection."""

    tries: int = 1
    """How many connections were lost with the request on them."""


class NotConnected(ConnectionLost):
    """Raised when there was no connection to send a request over: the engine has not seen it."""


class AnswerNotHttp(ConnectionLost):
    """Raised when what came over the connection is not HTTP/1.1; the text says what is wrong with it."""


class RequestTimedOut(Exception):
    """Raised when the engine did not answer within the time limit of a request."""


class AnswerTooLarge(Exception):
    """Raised when the answer is larger than what is taken into memory; the text gives that limit."""


class EngineFailed(Exception):
    """Raised when the engine did not start; the text is the end of its own output."""


class InputUnreadable(Exception):
    """Raised when the input file is missing or not the validated one; retrying does not help."""


Gate: TypeAlias = Callable[[], Awaitable[None]]
"""Returns as soon as a request may leave. If it already may, it returns without a turn of the event loop."""


async def open_gate() -> None:
    """Opens at once."""


class Engine(Protocol):
    """A server that answers until it is stopped or dies."""

    @property
    def definition(self) -> ModelDefinition: ...

    @property
    def concurrency(self) -> int:
        """How many requests to keep inside at once, initially."""

    @property
    def places(self) -> int | None:
        """How many requests to keep inside now, if the engine finds that out by itself; otherwise None."""

    @property
    def replicas(self) -> Sequence[Replica]:
        """The servers of an engine that is a fleet; empty for any other engine."""

    def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate, group: int = 0) -> Awaitable[Answer]:
        """Send one request. Raises ConnectionLost, RequestTimedOut, AnswerTooLarge. Cancelling it takes the request
        back.

        The gate is passed right before the request leaves, when there is a connection for it. Requests of one `group`
        share a prompt prefix; 0 means no group.
        """

    def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AbstractAsyncContextManager[OpenAnswer]:
        """Send one request and read its answer piece by piece. Raises as `ask`; leaving the block early takes the
        request back."""

    @property
    def has_priority(self) -> bool:
        """Whether a request with a priority runs before others that wait in it."""

    async def is_healthy(self) -> bool: ...

    async def progress(self) -> str | None:
        """A text that changes while the engine works; None if the engine does not report progress."""

    async def stats(self) -> EngineStats | None:
        """The load that the engine reports; None if it reports none."""

    async def metrics(self) -> bytes:
        """The engine's metrics as Prometheus text; empty if it has none."""

    async def gone(self) -> str:
        """Return how the engine ended, once it has; never return for an engine that is not ours to watch."""

    async def release(self) -> None:
        """Release an engine that is healthy but not wanted for now: the launcher may keep it loaded until it launches
        or closes."""

    async def stop(self) -> None:
        """Stop the engine. Return when none of its processes is left, or when the kernel holds one of them."""


class Launcher(Protocol):
    async def profile(self, definition: ModelDefinition) -> Profile:
        """How the model would be launched now, with what the device chooses for it."""

    async def origin(self, definition: ModelDefinition) -> EngineOrigin:
        """Where the engine and its model come from, as far as it is known once the model was launched."""

    async def launch(self, definition: ModelDefinition) -> Engine:
        """Wait until the previous engine's memory is free; return when the new one answers. Raises EngineFailed."""

    async def expect(self, definition: ModelDefinition) -> None:
        """Shorten the start of a model that is likely next. It may take time of the machine from the running engine, so
        it should not be called without need."""

    def resident(self, model: ModelId) -> Engine | None:
        """The engine of a model that stays loaded beside the one in use and answers now; None if there is none."""

    @property
    def residents(self) -> Sequence[ModelId]:
        """The models that stay loaded beside the one in use and answer now."""

    async def forget(self, model: ModelId) -> None:
        """Stop the engine that stays loaded beside the one in use, if it is no longer healthy."""

    async def close(self) -> None:
        """End what is kept ready for the next launch."""


class TrialLauncher(Protocol):
    """Starts engines that are only measured."""

    async def profile(self, definition: ModelDefinition) -> Profile: ...

    async def origin(self, definition: ModelDefinition) -> EngineOrigin: ...

    async def launch(self, definition: ModelDefinition) -> Engine:
        """Return when the engine answers. Raises EngineFailed, also if there is no memory for it beside others."""


class TunedSettings(Protocol):
    """What was measured for models on this device with this version of the engine."""

    async def find(self, definition: ModelDefinition) -> Tuned | None: ...

    async def keep(self, definition: ModelDefinition, tuned: Tuned) -> None: ...


class InputFiles(Protocol):
    async def read(self, blob: str, requests: Sequence[RequestRef]) -> list[bytes]:
        """Return the lines of these requests, in order. Raises InputUnreadable."""


class AnswerFiles(Protocol):
    async def put(self, blob: str, body: bytes) -> None:
        """Store an answer durably."""
