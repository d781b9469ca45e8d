"""An engine runs out of memory, at its start or at work: the next one takes less, and nobody's request is blamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.gpu_runner.conftest import Bench, living, of_type, outcomes_of, simulated
from vbatch.contracts.events import EngineCrashed, ModelFailed, ModelLoaded, ProfileLowered
from vbatch.contracts.failures import ReturnReason

pytestmark = pytest.mark.integration


async def test_an_engine_too_large_for_the_memory_comes_up_smaller(bench: Bench, home: Path):
    await bench.register(simulated("large", max_num_seqs=32, memory_seqs=8))
    async with living(bench, home):
        slice_id = await bench.run_slice("large", 20)
        outcomes = await bench.outcomes(slice_id, 20)
        events = await bench.wait(lambda seen: bool(of_type(seen, ModelLoaded)))
    lowered = of_type(events, ProfileLowered)
    assert [(step.rung, step.shortage, step.argument, step.before, step.after) for step in lowered] == [
        (1, "device", "max-num-seqs", "32", "16"),
        (2, "device", "max-num-seqs", "16", "8"),
    ]
    assert "CUDA out of memory" in lowered[0].detail
    assert of_type(events, ModelFailed) == [] and len(of_type(events, ModelLoaded)) == 1
    assert {outcome.status_code for outcome in outcomes} == {200}


async def test_an_engine_that_runs_out_at_work_is_started_smaller_and_blames_nobody(bench: Bench, home: Path):
    await bench.register(simulated("small", max_num_seqs=8))
    async with living(bench, home):
        first = await bench.run_slice("small", 20, steer={3: {"oom_above_seqs": 4}})
        returned = await bench.returned(first)
        again = await bench.run_slice("small", 20, steer={3: {"oom_above_seqs": 4}})
        outcomes = await bench.outcomes(again, 20)
        events = await bench.wait(lambda seen: len(of_type(seen, ModelLoaded)) == 2)
    assert returned.reason is ReturnReason.ENGINE_DIED and returned.suspects == ()
    assert [event.suspect_count for event in of_type(events, EngineCrashed)] == [0]
    assert [(event.before, event.after) for event in of_type(events, ProfileLowered)] == [("8", "4")]
    assert {outcome.status_code for outcome in outcomes} == {200}
    assert len(outcomes_of(events, first)) + len(returned.lines) == 20


async def test_a_model_that_fits_in_no_way_is_reported_with_the_arithmetic(bench: Bench, home: Path):
    await bench.register(simulated("huge", max_num_seqs=4, crash_after=0, fail_to_start=False, memory_seqs=-1))
    async with living(bench, home):
        slice_id = await bench.run_slice("huge", 2)
        returned = await bench.returned(slice_id)
        events = await bench.wait(lambda seen: bool(of_type(seen, ModelFailed)))
    assert returned.reason is ReturnReason.MODEL_FAILED
    assert [(event.before, event.after) for event in of_type(events, ProfileLowered)] == [("4", "2"), ("2", "1")]
    described = of_type(events, ModelFailed)[0].detail
    assert "The model does not fit" in described and "tried max-num-seqs 4 → 2; max-num-seqs 2 → 1" in described
