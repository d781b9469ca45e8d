"""A batch's place in the queue, steered as the official client would: extra_body, and posts of its own."""

from typing import Any

import openai
import pytest
from openai.types import Batch

from tests.integration.gateway.stage import CHAT, LINE, Stage
from tests.integration.gateway.test_batches import new_batch
from tests.support.events import NOON
from vbatch.contracts import events as e

pytestmark = pytest.mark.integration


async def post(stage: Stage, path: str, **body: Any) -> Any:
    return await stage.client.post(path, cast_to=Batch, body=body or None)


async def test_a_batch_is_created_with_a_priority_and_given_another(stage: Stage):
    batch = await new_batch(stage, extra_body={"priority": 20})
    assert batch.priority == 20

    assert (await post(stage, f"/batches/{batch.id}", priority=-5)).priority == -5
    assert (await stage.client.batches.retrieve(batch.id)).priority == -5  # type: ignore[attr-defined]  # ours


async def test_a_batch_is_paused_and_resumed_and_asking_twice_is_no_error(stage: Stage):
    batch = await new_batch(stage)
    assert batch.paused_at is None

    first, second = [await post(stage, f"/batches/{batch.id}/pause") for _ in range(2)]
    assert first.paused_at is not None and first == second and first.status == "validating"
    resumed = [await post(stage, f"/batches/{batch.id}/resume") for _ in range(2)]
    assert [batch.paused_at for batch in resumed] == [None, None]


async def test_a_paused_batch_can_be_cancelled(stage: Stage):
    batch = await new_batch(stage)
    await post(stage, f"/batches/{batch.id}/pause")

    cancelled = await stage.client.batches.cancel(batch.id)
    assert (cancelled.status, cancelled.paused_at) == ("cancelling", None)  # type: ignore[attr-defined]  # ours


@pytest.mark.parametrize(("path", "body"), [("/pause", {}), ("/resume", {}), ("", {"priority": 1})])
async def test_a_batch_that_is_over_is_refused_once(stage: Stage, path: str, body: dict[str, int]):
    batch = await new_batch(stage)
    await stage.tell(e.BatchRejected(batch_id=batch.id, faults=(), at=NOON))

    with pytest.raises(openai.ConflictError) as refused:
        await post(stage, f"/batches/{batch.id}{path}", **body)
    assert refused.value.response.headers["x-should-retry"] == "false"


async def test_nobody_steers_a_batch_that_is_not_there(stage: Stage):
    for path, body in (("/pause", {}), ("/resume", {}), ("", {"priority": 1})):
        with pytest.raises(openai.NotFoundError):
            await post(stage, f"/batches/batch_{'0' * 32}{path}", **body)


async def test_the_same_idempotent_create_finds_a_batch_whose_priority_was_changed(stage: Stage):
    file = await stage.client.files.create(file=LINE, purpose="batch")
    ask = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", "priority": 3}
    headers = {"Idempotency-Key": "steered"}
    first = (await stage.ask("POST", "/v1/batches", json=ask, headers=headers)).json
    await post(stage, f"/batches/{first['id']}", priority=30)

    again = await stage.ask("POST", "/v1/batches", json=ask, headers=headers)
    assert (again.status, again.json["id"], again.json["priority"]) == (200, first["id"], 30)
