"""Work that runs until the service is asked to stop."""

from __future__ import annotations

import asyncio

import pytest

from vbatch.chassis.process import Stop, until_stopped


async def test_a_stop_cancels_the_work_and_waits_for_its_end():
    stop, steps = Stop(), list[str]()

    async def work() -> None:
        try:
            steps.append("begun")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("ended")

    asyncio.get_running_loop().call_soon(stop.request, "test")
    await until_stopped(stop, work())
    assert steps == ["begun", "ended"]


async def test_what_ends_the_work_is_raised_without_a_stop():
    async def work() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await until_stopped(Stop(), work())


async def test_work_that_is_done_ends_the_wait():
    async def work() -> None:
        await asyncio.sleep(0)

    await until_stopped(Stop(), work())


async def test_who_cancels_the_wait_cancels_the_work():
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(until_stopped(Stop(), work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
