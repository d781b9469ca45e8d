"""A notifier that is killed at any point loses no delivery and makes no second one of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from tests.integration.notifier.stage import Scene
from tests.integration.results.stage import eventually, tell
from tests.support.events import BATCH_CREATED, SAMPLES
from vbatch.chassis.failpoints import Failpoint
from vbatch.contracts import events as e
from vbatch.contracts.codec import encode
from vbatch.contracts.ids import BatchId

pytestmark = pytest.mark.integration

COMPLETED = next(event for event in SAMPLES if isinstance(event, e.BatchCompleted))
POSTS_OF_THE_KILLED = {
    Failpoint.NOTIFIER_LEASED: 0,
    Failpoint.DELIVERY_QUEUED: 0,
    Failpoint.DELIVERY_POSTED: 1,
    Failpoint.DELIVERY_RECORDED: 1,
}


async def batch_ends(scene: Scene, number: int) -> None:
    batch_id, now = BatchId(f"batch_{number:032x}"), datetime.now(UTC)
    events = [msgspec.structs.replace(event, batch_id=batch_id, at=now) for event in (BATCH_CREATED, COMPLETED)]
    await tell(scene.journal, events)


async def subscribed(scene: Scene) -> None:
    await scene.stage.client.webhooks.create(name="n", url=scene.receiver.url, event_types=["batch.completed"])


@pytest.mark.parametrize("point", POSTS_OF_THE_KILLED)
async def test_killed_there_it_tells_all_the_same(quiet_scene: Scene, point: Failpoint):
    scene = quiet_scene
    await subscribed(scene)
    await batch_ends(scene, 1)
    scene.notifier.arm(point)
    scene.notifier.start()
    await scene.notifier.has_died()
    before = len(scene.receiver.posted)
    assert before == POSTS_OF_THE_KILLED[point]

    scene.notifier.start()
    await scene.notifier.is_ready()
    await scene.until_names("queued", "delivered")
    was_recorded = point is Failpoint.DELIVERY_RECORDED
    assert len(scene.receiver.posted) == (before if was_recorded else before + 1)
    assert len({posted.id for posted in scene.receiver.posted}) == 1
    assert len({posted.body for posted in scene.receiver.posted}) == 1


async def test_killed_again_and_again_it_tells_every_batch(scene: Scene):
    await subscribed(scene)
    for number in range(12):
        await batch_ends(scene, number)
        if number % 3 == 2:
            scene.notifier.kill()
            scene.notifier.start()
    expected = {msgspec.json.encode({"id": f"batch_{number:032x}"}) for number in range(12)}

    async def is_told() -> bool:
        return {bytes(_data(posted.body)) for posted in scene.receiver.posted} == expected

    await eventually(is_told)
    assert len({posted.id for posted in scene.receiver.posted}) == 12


def _data(body: bytes) -> msgspec.Raw:
    class Told(msgspec.Struct):
        data: msgspec.Raw

    return msgspec.json.decode(body, type=Told).data


async def test_one_that_was_replaced_writes_nothing_more_and_ends(scene: Scene):
    await subscribed(scene)
    lease = e.NotifierLeased(notifier_id="main", pid=1, at=datetime.now(UTC))
    await scene.journal.log.acquire(encode(lease, source="notifier"))
    assert scene.notifier.process is not None
    assert await asyncio.to_thread(scene.notifier.process.wait, 20) != 0
    assert "fenced_by_a_newer_process" in scene.notifier.log_path.read_text()
