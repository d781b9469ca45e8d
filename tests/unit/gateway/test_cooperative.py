"""A long list is made in turns, so that nobody waits for all of it."""

from __future__ import annotations

import asyncio

from vbatch.gateway.adapters.cooperative import map_cooperatively


async def test_everything_is_made_in_its_order():
    assert await map_cooperatively(str, range(1_000)) == [str(number) for number in range(1_000)]
    assert await map_cooperatively(str, []) == []


async def test_others_have_their_turns_in_between():
    happened: list[str] = []

    async def others() -> None:
        for _ in range(3):
            happened.append("another")
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await map_cooperatively(happened.append, ["first", "second", "third"], turn_seconds=0.0)
    await task

    assert happened == ["first", "another", "second", "another", "third", "another"]
