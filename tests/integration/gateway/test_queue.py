"""The queue and the why through the gateway: the scheduler's own pages behind it, or nobody."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from tests.integration.gateway.stage import LINE, Stage, stage_set
from tests.integration.gateway.test_batches import new_batch
from tests.integration.results.stage import Place
from tests.support.scheduling import World, plan_of
from vbatch.chassis.health import Readiness, health_app
from vbatch.contracts import events as e
from vbatch.contracts.codec import decode
from vbatch.contracts.ids import ModelId
from vbatch.contracts.subjects import ALL_EVENTS
from vbatch.gateway.adapters.scheduler import ANSWER_SECONDS_MAX
from vbatch.gateway.core.api_keys import read_key_file
from vbatch.journal.port import Journal
from vbatch.scheduler.adapters.queue_api import queue_api
from vbatch.scheduler.core.policy.density import DensityPolicy
from vbatch.scheduler.flows.forecasting import Forecasting

pytestmark = pytest.mark.integration

READS = 200
SHOWN_SECONDS_MAX = 10.0
KEYS = "".join(f"{name} {sha256(name.encode()).hexdigest()}\n" for name in ("alice", "bob"))
"""Of the keys `alice` and `bob`."""


@asynccontextmanager
async def foretelling(dependencies: World) -> AsyncIterator[str]:
    pages = queue_api(Forecasting(dependencies.state, dependencies.policy, lambda: dependencies.now))
    async with TestServer(health_app(Readiness(), CollectorRegistry(), pages)) as server:
        yield str(server.make_url(""))


async def told_of_the_log(dependencies: World, journal: Journal) -> None:
    """The scheduler's world hears everything; every file holds ten lines."""
    last = await journal.log.last_sequence()
    async with journal.log.tail(0, (ALL_EVENTS,)) as lists:
        async for records in lists:
            dependencies.fold(*(decode(record) for record in records))
            if records[-1].sequence >= last:
                break
    for job in dependencies.state.batches.values():
        job.plan = plan_of(10, "plain")


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """The gateway fetches the forecast every second while it is asked."""
    async with asyncio.timeout(SHOWN_SECONDS_MAX):
        while not await holds():  # noqa: ASYNC110  # the gateway has no way to say so
            await asyncio.sleep(0.05)


async def has(stage: Stage, path: str, text: str, **options: Any) -> bool:
    return text in (await stage.ask("GET", path, **options)).body.decode()


async def test_a_pending_batch_shows_its_place_and_its_eta_and_says_why(place: Place, journal: Journal):
    dependencies = World(DensityPolicy())
    dependencies.now = datetime.now(UTC)
    dependencies.runner()
    async with foretelling(dependencies) as url, stage_set(place, journal, scheduler_url=url) as stage:
        batch = await new_batch(stage, extra_body={"priority": 5})
        total = e.ModelTotal(model=ModelId("plain"), requests=10, input_bytes=10)
        await stage.tell(
            e.BatchValidated(batch_id=batch.id, total=10, last_line=10, models=(total,), at=dependencies.now)
        )
        await told_of_the_log(dependencies, journal)
        await eventually(lambda: has(stage, f"/v1/batches/{batch.id}", '"eta":{'))
        shown = (await stage.ask("GET", f"/v1/batches/{batch.id}")).json
        why = (await stage.ask("GET", f"/v1/batches/{batch.id}/why")).json
        queue = (await stage.ask("GET", "/v1/queue")).json
        typed = await stage.client.batches.retrieve(batch.id)

    assert why["waiting_for"] == shown["waiting_for"] == typed.waiting_for  # type: ignore[attr-defined]  # ours
    assert shown["admission"] == {"feasible": True, "earliest_completion_window": "1h"}
    assert [(entry["batch_id"], entry["priority"]) for entry in queue["data"] if entry["batch_id"] == batch.id] == [
        (batch.id, 5)
    ]
    assert why["eta"]["earliest"] <= why["eta"]["likely"] <= why["eta"]["latest"]


async def test_owners_do_not_see_each_others_batches(place: Place, journal: Journal):
    dependencies = World(DensityPolicy())
    dependencies.now = datetime.now(UTC)
    dependencies.runner()
    alice, bob = ({"authorization": f"Bearer {name}"} for name in ("alice", "bob"))
    async with (
        foretelling(dependencies) as url,
        stage_set(place, journal, scheduler_url=url, keys=read_key_file(KEYS)) as stage,
    ):
        uploaded = await stage.client.with_options(api_key="alice").files.create(file=LINE, purpose="batch")
        batch = await stage.client.with_options(api_key="alice").batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        await told_of_the_log(dependencies, journal)
        await eventually(lambda: has(stage, "/v1/queue", batch.id, headers=alice))
        listed = await stage.ask("GET", "/v1/queue", headers=bob)
        why = await stage.ask("GET", f"/v1/batches/{batch.id}/why", headers=bob)

    assert batch.id not in listed.body.decode()
    assert listed.json["data"] == [] and listed.json["others"]["batches"] >= 1
    assert why.status == 404


async def test_reads_do_not_wait_for_a_scheduler_that_hangs(place: Place, journal: Journal):
    """One that waited would take as long as a scheduler may: all of them together take less than half of them would."""
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # it takes connections, and nobody answers
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        async with stage_set(place, journal, scheduler_url=url) as stage:
            batch = await new_batch(stage)
            async with asyncio.timeout(READS * ANSWER_SECONDS_MAX / 2):
                for _ in range(READS):
                    assert (await stage.ask("GET", f"/v1/batches/{batch.id}")).status == 200


async def test_without_a_scheduler_only_the_forecast_is_missing(stage: Stage):
    batch = await new_batch(stage)
    answer = await stage.ask("GET", f"/v1/batches/{batch.id}")
    why, queue = [await stage.ask("GET", path) for path in (f"/v1/batches/{batch.id}/why", "/v1/queue")]

    assert (answer.json["eta"], answer.json["queue_position"], answer.json["waiting_for"]) == (None, None, None)
    for refused in (why, queue):
        assert (refused.status, refused.error["code"]) == (503, "service_unavailable")


async def test_the_why_of_a_batch_that_is_over_needs_no_scheduler(stage: Stage):
    batch = await new_batch(stage)
    await stage.tell(e.BatchRejected(batch_id=batch.id, faults=(), at=datetime.now(UTC)))

    assert (await stage.ask("GET", f"/v1/batches/{batch.id}/why")).json["waiting_for"] == "nothing: it is failed"
