"""A page that stays true: when something happens it is looked at again, and what of it changed is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from vbatch.console.ports import Api, ApiRefused, ApiUnreachable, LiveEvent

LOOK_SECONDS_MIN = 0.4
"""However much happens, a page is not looked at more often."""
LOOK_SECONDS_MAX = 5.0
"""Forecasts and ages change without an event."""
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a page, rendered."""

    name: str
    html: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where the stream stands; the browser resumes behind it."""

    id: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing changed, and the stream lives."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The page cannot be kept true at present."""

    words: str


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The key is no longer taken."""


Message = Fragment | Position | Beat | Trouble | LoggedOut
Look = Callable[[], Awaitable[Sequence[Fragment]]]


@dataclass(slots=True)
class Live:
    """One open page. `closing` ends it with the server."""

    source: Api
    look: Look
    batch_id: str | None
    closing: asyncio.Event
    last_id: str = ""
    _shown: dict[str, str] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Until the browser goes, the server stops, or the key is no longer taken."""
        while not self.closing.is_set():
            try:
                async with self.source.live(self.last_id, self.batch_id) as events:
                    async for message in self._connected(events):
                        yield message
            except ApiUnreachable:
                yield Trouble("The gateway does not answer.")
            except ApiRefused as error:
                if error.is_about_the_key:
                    yield LoggedOut()
                    return
                yield Trouble(error.message)
            await self._wait(self.closing, RETRY_SECONDS)

    async def _connected(self, events: AsyncIterator[LiveEvent]) -> AsyncGenerator[Message, None]:
        """While the stream lives. Raises what it ends with."""
        following = asyncio.ensure_future(self._follow(events))
        try:
            while not self.closing.is_set() and not following.done():
                self._news.clear()
                for message in await self._changes():
                    yield message
                await self._wait(self.closing, LOOK_SECONDS_MIN)
                await self._wait(self._news, LOOK_SECONDS_MAX)
            if following.done():
                following.result()
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError, ApiUnreachable):
                await following

    async def _follow(self, events: AsyncIterator[LiveEvent]) -> None:
        try:
            async for event in events:
                self.last_id = event.id or self.last_id
                self._news.set()
        finally:
            self._news.set()

    async def _changes(self) -> list[Message]:
        fragments = await self.look()
        changed: list[Message] = [each for each in fragments if self._shown.get(each.name) != each.html]
        self._shown |= {each.name: each.html for each in fragments}
        return [*(changed or [Beat()]), Position(self.last_id)]

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
