"""Clients are answered by engines that are loaded, beside batches; a model that they wait for comes and stays."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.gpu_runner.conftest import CHAT, LIMITS, Bench, Life, living, of_type, simulated
from vbatch.contracts.events import ModelLoaded, ModelLoading
from vbatch.contracts.ids import ModelId
from vbatch.contracts.orders import LoadModel
from vbatch.gpu_runner.flows.lane import Lane, LaneFull, NotServed
from vbatch.gpu_runner.ports import ConnectionLost

pytestmark = pytest.mark.integration


def lane_of(life: Life) -> Lane:
    assert life.runner.lane is not None
    return life.runner.lane


async def asked(life: Life, model: str, *, stream: bool = False, words: int = 3) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": "word " * words}], "stream": stream}
    async with lane_of(life).open(ModelId(model), CHAT, json.dumps(body).encode(), "req_1") as answer:
        assert answer.status_code == 200
        return b"".join([piece async for piece in answer.pieces])


async def load(bench: Bench, model: str, *, stay_seconds: float = 0.0, demand: int = 1) -> None:
    await bench.put(LoadModel(epoch=bench.epoch, model=ModelId(model), demand=demand, stay_seconds=stay_seconds))
    await bench.loaded(model)


async def test_a_model_that_nobody_loaded_is_not_served(bench: Bench, home: Path):
    await bench.register(simulated("small"))
    async with living(bench, home) as life:
        with pytest.raises(NotServed):
            await asked(life, "small")
        assert lane_of(life).state().ready == ()
        await load(bench, "small")
        assert b"[simulated] word" in await asked(life, "small")
        assert lane_of(life).state().ready == ("small",)


async def test_a_model_for_clients_comes_before_slices_that_have_not_begun_and_stays_as_long_as_it_should(
    bench: Bench, home: Path
):
    await bench.register(simulated("small"), simulated("large"))
    async with living(bench, home) as life:
        await load(bench, "large", stay_seconds=0.8)
        began = time.monotonic()
        slice_id = await bench.run_slice("small", 3)
        assert b"[simulated]" in await asked(life, "large")
        await bench.outcomes(slice_id, 3)
        assert time.monotonic() - began >= 0.7
        seen = await bench.wait(lambda events: len(of_type(events, ModelLoaded)) >= 2)
    assert [event.model for event in of_type(seen, ModelLoading)] == ["large", "small"]


async def test_a_model_that_stays_loaded_beside_another_answers_without_a_swap(bench: Bench, home: Path):
    await bench.register(simulated("small", memory_bytes=1), simulated("large", memory_bytes=1))
    async with living(bench, home, replace(LIMITS, standby_spare_bytes=0)) as life:
        await bench.outcomes(await bench.run_slice("small", 3), 3)
        await bench.outcomes(await bench.run_slice("large", 3), 3)
        assert lane_of(life).state().ready == ("large", "small")
        assert b"[simulated]" in await asked(life, "small")
        seen = await bench.wait(lambda events: True)
    assert len(of_type(seen, ModelLoading)) == 2


async def test_a_model_that_has_to_leave_waits_for_the_answers_that_are_being_read(bench: Bench, home: Path):
    slow = simulated("slow", token_seconds=0.05, answer_tokens=40)
    await bench.register(slow, simulated("large"))
    async with living(bench, home, replace(LIMITS, residents_max=1)) as life:
        await load(bench, "slow")
        reading = asyncio.create_task(asked(life, "slow", stream=True, words=30))
        await life.until(lambda: lane_of(life).traffic.inside_count == 1)
        slice_id = await bench.run_slice("large", 2)
        assert (await reading).endswith(b"data: [DONE]\n\n")
        await bench.outcomes(slice_id, 2)
        with pytest.raises(NotServed):
            await asked(life, "slow")


async def test_no_more_are_taken_than_may_run_at_once(bench: Bench, home: Path):
    slow = simulated("slow", token_seconds=0.05)
    await bench.register(slow)
    async with living(bench, home, replace(LIMITS, interactive_requests_max=1)) as life:
        await load(bench, "slow")
        reading = asyncio.create_task(asked(life, "slow", stream=True, words=30))
        await life.until(lambda: lane_of(life).traffic.inside_count == 1)
        with pytest.raises(LaneFull):
            await asked(life, "slow")
        await reading


async def test_an_engine_that_dies_under_a_client_blames_no_request_of_a_batch(bench: Bench, home: Path):
    slow = simulated("slow", token_seconds=0.05, answer_tokens=40)
    await bench.register(slow)
    async with living(bench, home) as life:
        await load(bench, "slow")
        slice_id = await bench.run_slice("slow", 4)
        body = {"model": "slow", "messages": [], "simulate": {"crash": True}}
        with pytest.raises(ConnectionLost):
            async with lane_of(life).open(ModelId("slow"), CHAT, json.dumps(body).encode(), "req_1"):
                pass
        returned = await bench.returned(slice_id)
    assert (returned.lines, returned.suspects) == ((1, 2, 3, 4), ())
