"""An engine in memory: it takes its time, answers oddly, stops answering and dies, at random and as requests demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from tests.simulation.journal import UNSTORABLE
from tests.simulation.weather import Weather
from vbatch.contracts.events import EngineOrigin
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import ModelDefinition
from vbatch.gpu_runner.core.concurrency import WAITING_MAX, EngineStats
from vbatch.gpu_runner.core.fleet.fleet import Replica
from vbatch.gpu_runner.core.profile import Profile
from vbatch.gpu_runner.ports import (
    Answer,
    ConnectionLost,
    EngineFailed,
    Gate,
    OpenAnswer,
    RequestTimedOut,
    open_gate,
)

POISON = "poison"
"""A request with this word in its text kills the engine."""
GAGGED = "gagged"
"""The answer to a request with this word cannot be recorded."""
WINDOW = 6


class _Body(msgspec.Struct):
    user: str


_BODY = msgspec.json.Decoder(_Body)


@dataclass
class Answers:
    """Everything that any engine said, by custom id: the answers that a client may find in its files."""

    said: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    ask_counts: dict[str, int] = field(default_factory=dict)
    crash_count: int = 0

    def ask(self, custom_id: str) -> int:
        self.ask_counts[custom_id] = self.ask_counts.get(custom_id, 0) + 1
        return self.ask_counts[custom_id]

    def say(self, custom_id: str, status_code: int, body: bytes) -> Answer:
        self.said.setdefault(custom_id, []).append((status_code, body))
        return Answer(status_code, body)


class SimulatedEngine:
    def __init__(
        self, definition: ModelDefinition, weather: Weather, answers: Answers, on_ask: Callable[[str], None]
    ) -> None:
        self.definition = definition
        self.concurrency = WINDOW
        self.has_priority = False
        self.places: int | None = None
        self.replicas: Sequence[Replica] = ()
        self._weather = weather
        self._answers = answers
        self._on_ask = on_ask
        self._gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._is_silent = False

    async def ask(self, endpoint: str, body: bytes, gate: Gate = open_gate, group: int = 0) -> Answer:
        custom_id = _BODY.decode(body).user
        await self._weather.wait()  # for a connection
        await gate()
        if self._gone.done():
            raise ConnectionLost("nobody listens")
        self._on_ask(custom_id)
        number = self._answers.ask(custom_id)
        self._meet_fate(custom_id)
        await self._think()
        return self._answers.say(custom_id, *self._words(custom_id, number))

    @asynccontextmanager
    async def open(self, endpoint: str, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[OpenAnswer]:
        raise ConnectionLost("nobody asks it interactively")
        yield

    async def is_healthy(self) -> bool:
        await self._weather.wait()
        return not (self._gone.done() or self._is_silent)

    async def progress(self) -> str | None:
        return None

    async def stats(self) -> EngineStats | None:
        await self._weather.wait()
        return EngineStats(running=WINDOW, waiting=self._weather.random.randrange(2 * WAITING_MAX))

    async def metrics(self) -> bytes:
        return b""

    async def gone(self) -> str:
        return await asyncio.shield(self._gone)

    async def release(self) -> None:
        self._end("stopped")

    async def stop(self) -> None:
        self._end("stopped")

    def _end(self, how: str) -> None:
        if not self._gone.done():
            self._gone.set_result(how)

    def _meet_fate(self, custom_id: str) -> None:
        weather = self._weather
        if POISON in custom_id or weather.strikes(weather.engine_crash):
            self._answers.crash_count += 1
            asyncio.get_running_loop().call_later(weather.random.random() * 0.1, self._end, "exit code -11")
        elif weather.strikes(weather.engine_silence):
            self._is_silent = True

    async def _think(self) -> None:
        await asyncio.sleep(self._weather.random.random() * self._weather.answer_seconds)
        if self._is_silent:
            await asyncio.shield(self._gone)
        if self._gone.done():
            raise ConnectionLost("the engine is gone")

    def _words(self, custom_id: str, number: int) -> tuple[int, bytes]:
        """Return a different answer to every request, so that a mixed-up one cannot hide."""
        if GAGGED in custom_id:
            return 200, b'{"text":"%s"}' % UNSTORABLE
        good = msgspec.json.encode(
            {"id": f"{custom_id}#{number}", "text": "\u2028" + "x" * (number * 7 % 50), "usage": {"prompt_tokens": 3}}
        )
        if self._weather.strikes(self._weather.large_answer):
            return 200, good[:-1] + b',"more":"' + b"y" * 600 + b'"}'
        if not self._weather.strikes(self._weather.odd_answer):
            return 200, good
        match self._weather.random.randrange(5):
            case 0:
                return 400, b'{"error":{"message":"no"}}'
            case 1:
                return 500, b"not json"
            case 2:
                return 429, b"{}"
            case 3:
                raise ConnectionLost("this connection only")
            case _:
                raise RequestTimedOut("too long")


@dataclass
class SimulatedLauncher:
    weather: Weather
    answers: Answers
    on_ask: Callable[[str], None]

    async def launch(self, definition: ModelDefinition) -> SimulatedEngine:
        await asyncio.sleep(self.weather.random.random() * 0.3)
        if self.weather.strikes(self.weather.load_failure):
            raise EngineFailed("out of simulated memory")
        return SimulatedEngine(definition, self.weather, self.answers, self.on_ask)

    async def origin(self, definition: ModelDefinition) -> EngineOrigin:
        return EngineOrigin(engine=definition.engine)

    async def profile(self, definition: ModelDefinition) -> Profile:
        return Profile(definition, ())

    def resident(self, model: ModelId) -> None:
        return None

    @property
    def residents(self) -> tuple[ModelId, ...]:
        return ()

    async def forget(self, model: ModelId) -> None:
        return None

    async def expect(self, definition: ModelDefinition) -> None:
        return None

    async def close(self) -> None:
        return None
