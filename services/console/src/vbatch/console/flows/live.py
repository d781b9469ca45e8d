"""Keeps open pages up to date: when something happens, a page is read again, once for all tabs that show it, and each
tab gets the changes since its last update."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from vbatch.console.core.cadence import Cadence
from vbatch.console.ports import ApiRefused, ApiUnreachable, LiveEvent, LiveSource

LOOK_SECONDS_MAX = 5.0
"""Forecasts and ages change without an event."""
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a page, rendered."""

    name: str
    html: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing changed, but the stream is alive."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The page cannot be kept up to date at present."""

    words: str


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """The key is no longer accepted."""


Message = Fragment | Beat | Trouble | LoggedOut
Look = Callable[[], Awaitable[Sequence[Fragment]]]


@dataclass(frozen=True, slots=True)
class Glance:
    """Parts of a page that are read together."""

    look: Look
    cadence: Cadence


@dataclass(slots=True, eq=False)
class Watch:
    """One page of one visitor, regardless of how many tabs show it. `closing` ends it with the server."""

    source: LiveSource
    glances: Sequence[Glance]
    batch_id: str | None
    closing: asyncio.Event
    shown: dict[str, Fragment] = field(default_factory=dict)
    state: Message = field(default_factory=Beat)
    tabs: set[Tab] = field(default_factory=set)
    _last_id: str = ""
    _news: list[asyncio.Event] = field(default_factory=list)

    async def run(self) -> None:
        """Run until it is cancelled, the server stops, or the key is no longer accepted."""
        while not self.closing.is_set():
            try:
                async with self.source.live(self._last_id, self.batch_id) as events:
                    await self._connected(events)
            except ApiUnreachable:
                self._tell(Trouble("The gateway does not answer."))
            except ApiRefused as error:
                if error.is_about_the_key:
                    return self._tell(LoggedOut())
                self._tell(Trouble(error.message))
            await _wait(self.closing, RETRY_SECONDS)

    def look_again(self) -> None:
        for news in self._news:
            news.set()

    def wake_tabs(self) -> None:
        for tab in self.tabs:
            tab.woken.set()

    async def _connected(self, events: AsyncIterator[LiveEvent]) -> None:
        """Run while the stream is open. Raises the error that ends the stream or a read."""
        self._news = [asyncio.Event() for _ in self.glances]
        looks = [self._keep(glance, news) for glance, news in zip(self.glances, self._news, strict=True)]
        tasks = [asyncio.ensure_future(each) for each in (self._follow(events), *looks)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, events: AsyncIterator[LiveEvent]) -> None:
        async for event in events:
            self._last_id = event.id or self._last_id
            self.look_again()

    async def _keep(self, glance: Glance, news: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        while not self.closing.is_set():
            news.clear()
            began = clock()
            fragments = await glance.look()
            took = clock() - began
            self.shown |= {each.name: each for each in fragments if self.shown.get(each.name) != each}
            self._tell(Beat())
            rest = glance.cadence.rest_seconds(took)
            await _wait(self.closing, rest)
            await _wait(news, LOOK_SECONDS_MAX - rest)

    def _tell(self, state: Message) -> None:
        self.state = state
        self.wake_tabs()


@dataclass(slots=True, eq=False)
class Tab:
    """An open page. A slow reader misses intermediate states, never the newest one."""

    watch: Watch
    watching: asyncio.Task[None]
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: dict[str, Fragment] = field(default_factory=dict)

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Yield messages until the page's watch ends."""
        while not self.watching.done():
            await self.woken.wait()
            self.woken.clear()
            for message in self._unsaid():
                yield message
        self.watching.result()

    def _unsaid(self) -> list[Message]:
        changed: list[Message] = [each for each in self.watch.shown.values() if self._sent.get(each.name) is not each]
        self._sent = dict(self.watch.shown)
        if isinstance(self.watch.state, Beat):
            return changed or [Beat()]
        return [*changed, self.watch.state]


@dataclass(slots=True)
class Watches:
    """The pages that are open now, by the key that decides what they show."""

    _running: dict[Hashable, tuple[Watch, asyncio.Task[None]]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self._running)

    @asynccontextmanager
    async def tab(self, key: Hashable, make: Callable[[], Watch]) -> AsyncGenerator[Tab, None]:
        """Open one more tab on the page `key`; the first tab creates its watch, the last one ends it."""
        if key not in self._running or self._running[key][1].done():
            self._begin(key, make())
        watch, watching = self._running[key]
        tab = Tab(watch, watching)
        watch.tabs.add(tab)
        watch.look_again()
        if not isinstance(watch.state, Beat):
            tab.woken.set()
        try:
            yield tab
        finally:
            watch.tabs.discard(tab)
            if not watch.tabs:
                await self._end(key, watching)

    def _begin(self, key: Hashable, watch: Watch) -> None:
        watching = asyncio.ensure_future(watch.run())
        watching.add_done_callback(lambda _: watch.wake_tabs())
        self._running[key] = (watch, watching)

    async def _end(self, key: Hashable, watching: asyncio.Task[None]) -> None:
        if key in self._running and self._running[key][1] is watching:
            del self._running[key]
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
