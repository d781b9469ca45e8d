"""What a batch waits for, and when it may run: told, not decided."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from tests.support.scheduling import World, batch_id
from vbatch.chassis.health import Readiness, health_app
from vbatch.contracts import events as e
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.forecast import Explanation, ForecastEntry
from vbatch.contracts.ids import BatchId
from vbatch.scheduler.adapters.queue_api import queue_api
from vbatch.scheduler.core.forecast.forecast import explain, queue
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.flows.forecasting import Forecasting


@pytest.fixture
def world() -> World:
    world = World(DensityPolicy())
    world.model("small")
    world.model("large")
    return world


def why(world: World, name: str) -> Explanation:
    explanation = explain(world.state, world.policy, batch_id(name), world.now)
    assert explanation is not None
    return explanation


def test_an_unknown_batch_is_not_explained(world: World):
    assert explain(world.state, world.policy, batch_id("nobody"), world.now) is None


def test_a_batch_without_a_runner_waits_for_one(world: World):
    world.running("a", 10)
    assert why(world, "a").batch.waits_for == "a gpu-runner: none is running"


def test_a_batch_that_is_validated_waits_for_its_file(world: World):
    world.created("a")
    assert why(world, "a").batch.waits_for == "its input file to be checked"


def test_a_held_batch_waits_for_its_pause(world: World):
    world.running("a", 10)
    world.runner()
    sent = world.settle()[0]
    assert isinstance(sent, e.BatchDispatched)
    world.give_back(sent.slice_id, ReturnReason.INPUT_UNREADABLE)
    assert why(world, "a").batch.waits_for == "a short pause to end: a runner returned its requests"


def test_a_cancelled_batch_waits_for_its_runner(world: World):
    batch = world.running("a", 10)
    world.runner()
    world.settle()
    world.cancel(batch)
    assert why(world, "a").batch.waits_for.startswith("the runner to return its requests")


def test_a_waiting_batch_is_told_who_comes_first_and_when(world: World):
    world.running("first", 1_000)
    world.runner()
    world.settle()
    world.running("long", 5_000)
    world.running("next", 300)
    told = why(world, "long")
    assert batch_id("next") in [ahead.batch_id for ahead in told.runs_first]
    start, end = told.batch.starts_at, told.batch.ends_at
    assert start is not None and end is not None and world.now < start < end
    assert "to run first, about" in told.batch.waits_for


def test_the_range_holds_the_end_and_narrows_with_what_is_measured(world: World):
    world.running("a", 100_000)
    world.runner()
    (sent, _) = world.settle()
    assert isinstance(sent, e.BatchDispatched)
    before = doubt(world)
    world.later(timedelta(seconds=60))
    world.finish(sent.slice_id)
    assert doubt(world) < before


def test_an_end_is_a_guess_until_the_speed_of_its_model_is_measured(world: World):
    world.running("a", 100_000)
    world.runner()
    (sent, _) = world.settle()
    assert isinstance(sent, e.BatchDispatched)
    guess = why(world, "a").batch
    world.later(timedelta(seconds=60))
    world.finish(sent.slice_id)
    measured = why(world, "a").batch
    assert (guess.is_guess, measured.is_guess) == (True, False)
    assert guess.waits_for.endswith("left (a guess)")


def test_what_waits_behind_a_model_that_was_not_measured_ends_at_a_guess_too(world: World):
    world.running("known", 600, "small")
    world.runner()
    for sent in world.settle():
        assert isinstance(sent, e.BatchDispatched)
        world.later(timedelta(seconds=30))
        world.finish(sent.slice_id)
    alone = world.running("alone", 50_000, "small")
    assert not entry_of(world)[alone].is_guess
    first, second = world.running("first", 10, "large"), world.running("second", 90_000, "small")
    told = entry_of(world)
    assert told[first].is_guess and told[second].is_guess


def entry_of(world: World) -> dict[BatchId, ForecastEntry]:
    return {entry.batch_id: entry for entry in queue(world.state, world.policy, world.now)}


def doubt(world: World) -> float:
    told = why(world, "a").batch
    assert told.ends_at and told.ends_at_earliest and told.ends_at_latest
    assert told.ends_at_earliest < told.ends_at < told.ends_at_latest
    return (told.ends_at_latest - told.ends_at) / (told.ends_at - world.now)


def test_a_batch_that_is_all_on_the_runner_ends_with_what_the_runner_holds(world: World):
    world.running("a", 10)
    world.runner()
    world.settle()
    told = why(world, "a")
    assert told.batch.waits_for.startswith("nothing: it is running, with about ")
    assert told.batch.ends_at is not None


def test_the_queue_lists_what_ends_first_in_front(world: World):
    world.running("long", 5_000)
    world.running("short", 50)
    world.created("unchecked")
    world.runner()
    assert [entry.batch_id.removeprefix("batch_") for entry in queue(world.state, world.policy, world.now)] == [
        "short",
        "long",
        "unchecked",
    ]


def test_what_was_foretold_first_is_what_is_dispatched_first(world: World):
    for name, count in (("a", 900), ("b", 40), ("c", 400)):
        world.running(name, count, "large" if name == "b" else "small")
    world.runner()
    foretold = min(queue(world.state, world.policy, world.now), key=lambda entry: entry.starts_at or world.now)
    sent = world.settle()[0]
    assert isinstance(sent, e.BatchDispatched)
    assert (sent.batch_id, sent.reason) == (foretold.batch_id, foretold.reason)


async def test_the_pages_tell_the_queue_and_the_why(world: World):
    world.running("a", 10)
    pages = queue_api(Forecasting(world.state, world.policy, lambda: world.now))
    app = health_app(Readiness(), CollectorRegistry(), pages)
    async with TestClient(TestServer(app)) as client:
        listed = await (await client.get("/queue")).json()
        told = await (await client.get("/why/batch_a")).json()
        unknown = await client.get("/why/batch_x")
    assert (listed["batches"][0]["batch_id"], listed["more"]) == ("batch_a", 0)
    assert told["batch"]["waits_for"] == "a gpu-runner: none is running"
    assert unknown.status == 404
