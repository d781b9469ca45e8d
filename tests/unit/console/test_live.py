"""Tabs that show the same page share one look at it, and each gets what changed since it was last told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from vbatch.console.core.cadence import COUNTS, DETAILS, PAGE, Cadence
from vbatch.console.flows.live import Beat, Fragment, Glance, LoggedOut, Message, Tab, Trouble, Watch, Watches
from vbatch.console.ports import ApiRefused, ApiUnreachable, LiveEvent

AT_ONCE = Cadence(0.0, 0.0)
WAIT_SECONDS_MAX = 10.0


@dataclass
class News:
    """A stream of the API in memory; `refusals` are raised by the next openings."""

    refusals: list[Exception] = field(default_factory=list)
    opened: list[tuple[str, str | None]] = field(default_factory=list)
    coming: asyncio.Queue[LiveEvent | None] = field(default_factory=asyncio.Queue)

    @asynccontextmanager
    async def live(self, last_id: str, batch_id: str | None) -> AsyncGenerator[AsyncIterator[LiveEvent], None]:
        self.opened.append((last_id, batch_id))
        if self.refusals:
            raise self.refusals.pop(0)
        yield self._events()

    async def _events(self) -> AsyncIterator[LiveEvent]:
        while (event := await self.coming.get()) is not None:
            yield event
        raise ApiUnreachable("the stream ended")


@dataclass
class Board:
    """A page whose parts a test writes."""

    parts: dict[str, str]
    looks: int = 0

    async def look(self) -> Sequence[Fragment]:
        self.looks += 1
        return [Fragment(name, html) for name, html in self.parts.items()]


def watch_of(news: News, board: Board, cadence: Cadence = AT_ONCE) -> Watch:
    return Watch(news, [Glance(board.look, cadence)], None, asyncio.Event())


async def heard(tab: Tab, count: int) -> list[Message]:
    messages: list[Message] = []
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        async for message in tab.messages():
            messages.append(message)
            if len(messages) == count:
                break
    return messages


async def test_two_tabs_of_one_page_cost_one_stream_and_one_look():
    news, board, watches = News(), Board({"hub": "<p>1</p>"}), Watches()
    async with (
        watches.tab("hub", lambda: watch_of(news, board)) as one,
        watches.tab("hub", lambda: watch_of(news, board)) as other,
    ):
        expected: list[Message] = [Fragment("hub", "<p>1</p>")]
        assert list(await asyncio.gather(heard(one, 1), heard(other, 1))) == [expected, expected]
        assert (news.opened, watches.count) == ([("", None)], 1)
        assert board.looks <= 2  # the second tab may have come after the first look


async def test_a_tab_gets_only_what_changed():
    news, board, watches = News(), Board({"head": "1", "rest": "same"}), Watches()
    async with watches.tab("batch", lambda: watch_of(news, board)) as tab:
        assert await heard(tab, 2) == [Fragment("head", "1"), Fragment("rest", "same")]
        board.parts["head"] = "2"
        news.coming.put_nowait(LiveEvent("7", "batch.paused"))
        assert await heard(tab, 1) == [Fragment("head", "2")]


async def test_a_late_tab_gets_the_whole_page():
    news, board, watches = News(), Board({"head": "1"}), Watches()
    async with watches.tab("batch", lambda: watch_of(news, board)) as first:
        await heard(first, 1)
        async with watches.tab("batch", lambda: watch_of(news, board)) as late:
            assert await heard(late, 1) == [Fragment("head", "1")]


async def test_a_look_that_finds_nothing_new_is_a_sign_of_life():
    news, board, watches = News(), Board({"head": "1"}), Watches()
    async with watches.tab("batch", lambda: watch_of(news, board)) as tab:
        await heard(tab, 1)
        news.coming.put_nowait(LiveEvent("7", "batch.paused"))
        assert await heard(tab, 1) == [Beat()]


async def test_the_last_tab_ends_the_watch():
    news, board, watches = News(), Board({"head": "1"}), Watches()
    async with watches.tab("batch", lambda: watch_of(news, board)) as tab:
        await heard(tab, 1)
    assert (watches.count, tab.watching.done()) == (0, True)


async def test_a_lost_gateway_is_told_and_a_new_tab_hears_of_it_at_once():
    news, board, watches = News(refusals=[ApiUnreachable("refused")]), Board({"head": "1"}), Watches()
    async with watches.tab("batch", lambda: watch_of(news, board)) as tab:
        assert await heard(tab, 1) == [Trouble("The gateway does not answer.")]
        async with watches.tab("batch", lambda: watch_of(news, board)) as late:
            assert isinstance((await heard(late, 1))[0], Trouble)


async def test_a_broken_stream_resumes_behind_the_last_event(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vbatch.console.flows.live.RETRY_SECONDS", 0.01)
    news, board, watches = News(), Board({"head": "1"}), Watches()
    async with watches.tab("batch", lambda: watch_of(news, board)) as tab:
        news.coming.put_nowait(LiveEvent("41", "batch.paused"))
        news.coming.put_nowait(None)
        assert [type(each) for each in await heard(tab, 2)] == [Fragment, Trouble]
        await heard(tab, 1)
    assert [last for last, _ in news.opened][:2] == ["", "41"]


async def test_a_key_that_is_no_longer_taken_ends_the_page():
    refused = ApiRefused(401, "Incorrect API key provided.", "invalid_api_key", "req")
    news, board, watches = News(refusals=[refused]), Board({"head": "1"}), Watches()
    async with watches.tab("batch", lambda: watch_of(news, board)) as tab:
        messages = [message async for message in tab.messages()]
    assert messages == [LoggedOut()]


@pytest.mark.parametrize(
    ("cadence", "look_seconds", "rest"),
    [
        (COUNTS, 0.001, 0.12),
        (COUNTS, 0.03, 0.24),
        (COUNTS, 0.3, 0.4),
        (PAGE, 3.0, 5.0),
        (DETAILS, 0.01, 1.0),
        (DETAILS, 2.0, 40.0),
    ],
)
def test_a_page_rests_longer_the_longer_a_look_took(cadence: Cadence, look_seconds: float, rest: float):
    assert cadence.rest_seconds(look_seconds) == pytest.approx(rest)
