"""Batches through the official client: every answer is checked against the client's own models."""

import asyncio
from typing import Any

import msgspec
import openai
import pytest

from tests.integration.gateway.endings import created_of, outcome, runs
from tests.integration.gateway.stage import CHAT, LINE, Stage
from tests.support.events import NOON
from vbatch.contracts import events as e
from vbatch.contracts.events import Flaw
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import BatchId

pytestmark = pytest.mark.integration

KEYS = [
    "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window", "status", "output_file_id",
    "error_file_id", "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at",
    "expired_at", "cancelling_at", "cancelled_at", "request_counts", "usage", "metadata",
    "priority", "paused_at", "queue_position", "eta", "requests_per_second", "waiting_for", "admission",
    "retry_of", "fanout_id", "pause_on", "quality",
]  # fmt: skip


async def new_batch(stage: Stage, **more: Any) -> Any:
    file = await stage.client.files.create(file=LINE, purpose="batch")
    return await stage.client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", **more)


async def test_a_new_batch_is_validating_with_nothing_counted(stage: Stage):
    batch = await new_batch(stage, metadata={"z": "1", "a": "2"})

    assert batch.status == "validating" and batch.model is None and batch.errors is None
    assert batch.expires_at == batch.created_at + 86_400
    assert (batch.request_counts.total, batch.usage.total_tokens) == (0, 0)
    assert batch.metadata == {"z": "1", "a": "2"}
    assert await stage.client.batches.retrieve(batch.id) == batch


async def test_all_keys_stand_in_wire_order_and_unset_ones_are_null(stage: Stage):
    batch = await new_batch(stage)
    answer = await stage.ask("GET", f"/v1/batches/{batch.id}")

    assert list(answer.json) == KEYS
    assert answer.json["metadata"] is None
    assert answer.json["usage"]["input_tokens_details"] == {"cached_tokens": 0}


async def test_batches_are_listed_newest_first_in_pages(stage: Stage):
    made = [(await new_batch(stage)).id for _ in range(5)]

    assert [batch.id async for batch in stage.client.batches.list(limit=2)] == made[::-1]


async def test_an_unknown_input_file_is_no_error_of_create(stage: Stage):
    batch = await stage.client.batches.create(input_file_id="file-unknown", endpoint=CHAT, completion_window="24h")

    assert batch.status == "validating"


async def test_a_failed_batch_lists_its_faults(stage: Stage):
    batch = await new_batch(stage)
    fault = e.BatchFault(code=FileFault.INVALID_JSON_LINE, message="This line is not parseable as valid JSON.", line=1)
    await stage.tell(e.BatchRejected(batch_id=BatchId(batch.id), faults=(fault,), at=NOON))

    failed = await stage.client.batches.retrieve(batch.id)
    assert failed.status == "failed" and failed.errors is not None and failed.errors.data is not None
    assert failed.errors.data[0].code == "invalid_json_line" and failed.errors.data[0].line == 1
    assert failed.errors.object == "list"


async def test_a_cancel_says_cancelling_and_may_be_repeated(stage: Stage):
    batch = await new_batch(stage)

    first = await stage.client.batches.cancel(batch.id)
    assert first.status == "cancelling" and first.cancelling_at is not None
    assert await stage.client.batches.cancel(batch.id) == first


async def test_a_failed_batch_cannot_be_cancelled_and_the_client_does_not_retry(stage: Stage):
    batch = await new_batch(stage)
    await stage.tell(e.BatchRejected(batch_id=BatchId(batch.id), faults=(), at=NOON))

    with pytest.raises(openai.ConflictError) as refused:
        await stage.client.batches.cancel(batch.id)
    assert refused.value.body["message"] == "Cannot cancel a batch with status 'failed'."  # type: ignore[index]
    assert refused.value.response.headers["x-should-retry"] == "false"


async def test_the_same_idempotency_key_gives_the_same_batch(stage: Stage):
    options = {"extra_headers": {"Idempotency-Key": "once"}}
    ask: dict[str, Any] = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h", **options}
    twins = await asyncio.gather(*(stage.client.batches.create(**ask) for _ in range(4)))
    await stage.client.batches.cancel(twins[0].id)
    late = await stage.client.batches.create(**ask)

    assert {batch.id for batch in twins} == {late.id}
    assert late.status == "cancelling"
    assert len([batch async for batch in stage.client.batches.list()]) == 1


async def test_an_idempotency_key_cannot_be_used_for_another_ask(stage: Stage):
    headers = {"Idempotency-Key": "once"}
    ask: dict[str, Any] = {"endpoint": CHAT, "completion_window": "24h", "extra_headers": headers}
    await stage.client.batches.create(input_file_id="file-x", **ask)

    with pytest.raises(openai.ConflictError) as refused:
        await stage.client.batches.create(input_file_id="file-y", **ask)
    assert refused.value.code == "idempotency_key_reused"


async def test_a_create_is_answered_from_its_event_when_nobody_projects(lonely_stage: Stage):
    batch = await lonely_stage.client.batches.create(
        input_file_id="file-x", endpoint=CHAT, completion_window="24h", metadata={"a": "b"}
    )
    assert (batch.status, batch.metadata) == ("validating", {"a": "b"})


async def test_reads_without_a_read_model_are_answered_503(lonely_stage: Stage):
    answer = await lonely_stage.ask("GET", "/v1/batches")

    assert answer.status == 503 and answer.error["code"] == "service_unavailable"
    assert "Retry-After" in answer.headers


async def test_a_create_that_the_client_sends_again_makes_no_second_batch(stage: Stage):
    def ask(**more: Any) -> Any:
        fixed: dict[str, Any] = {"endpoint": CHAT, "completion_window": "24h"}
        return stage.client.batches.create(input_file_id="file-x", **fixed, **more)

    again = {"x-stainless-retry-count": "1"}
    first = await ask(metadata={"n": "1"})
    assert (await ask(metadata={"n": "1"}, extra_headers=again)).id == first.id
    other = await ask(metadata={"n": "2"}, extra_headers=again)
    assert other.id != first.id
    assert (await ask(metadata={"n": "2"}, extra_headers={"x-stainless-retry-count": "2"})).id == other.id
    assert (await ask(metadata={"n": "1"})).id not in (first.id, other.id)


async def test_a_batch_expires_at_the_end_of_its_window(stage: Stage):
    for window, seconds in (("1h", 3_600), ("7d", 604_800)):
        made = await stage.client.batches.create(
            input_file_id="file-x",
            endpoint=CHAT,
            completion_window=window,  # type: ignore[arg-type]  # OpenAI has one window only
        )
        batch = await stage.client.batches.retrieve(made.id)
        assert batch.expires_at is not None
        assert (batch.completion_window, batch.expires_at - batch.created_at) == (window, seconds)


async def test_a_list_can_be_narrowed_and_still_be_paged(stage: Stage):
    async def make(**metadata: str) -> str:
        ask: dict[str, Any] = {"endpoint": CHAT, "completion_window": "24h", "metadata": metadata or None}
        return (await stage.client.batches.create(input_file_id="file-x", **ask)).id

    red, both, _, odd = [await make(**pairs) for pairs in ({"c": "red"}, {"c": "red", "n": "1"}, {}, {"c": "\0"})]
    await stage.client.batches.cancel(red)

    async def found(**query: Any) -> list[str]:
        return [batch.id async for batch in stage.client.batches.list(limit=1, extra_query=query)]

    assert await found(metadata={"c": "red"}) == [both, red]
    assert await found(metadata={"c": "red", "n": "1"}) == [both]
    assert await found(metadata={"n": "2"}) == []
    assert await found(status="cancelling,cancelled") == [red]
    assert await found(status="validating", metadata={"c": "red"}) == [both]
    assert len(await found(created_after=0)) == 4 and odd in await found(created_before=4_000_000_000)
    assert await found(created_before=1) == []


async def test_the_quality_of_answers_is_counted_while_the_batch_runs(stage: Stage):
    batch = await created_of(stage, *(f"r{n}" for n in range(8)), extra_body={"pause_on": {"not_json": 0.5}})
    assert (batch.quality, batch.pause_on) == (None, {"not_json": 0.5})
    flaws = [(Flaw.EMPTY, Flaw.CUT), (Flaw.CUT,), (), ()]
    answers = [outcome(line, f"r{line - 1}", "x") for line in range(1, 5)]
    flawed = [msgspec.structs.replace(answer, flaws=each) for answer, each in zip(answers, flaws, strict=True)]
    await runs(stage, batch.id, 8, [*flawed, outcome(5, "r4", None)])

    quality = (await stage.ask("GET", f"/v1/batches/{batch.id}")).json["quality"]
    assert quality["answers"] == 4
    assert {name: each["share"] for name, each in quality.items() if name != "answers" and each["count"]} == {
        "empty": 0.25,
        "cut": 0.5,
    }


@pytest.mark.parametrize(
    ("pause_on", "param", "code"),
    [
        ({"dull": 0.5}, "pause_on.dull", "unknown_parameter"),
        ({"cut": 0}, "pause_on.cut", "invalid_value"),
        ({"cut": 1.1}, "pause_on.cut", "invalid_value"),
        ({"cut": True}, "pause_on.cut", "invalid_type"),
        ([], "pause_on", "invalid_type"),
    ],
)
async def test_a_bad_threshold_is_refused(stage: Stage, pause_on: object, param: str, code: str):
    with pytest.raises(openai.BadRequestError) as refused:
        await new_batch(stage, extra_body={"pause_on": pause_on})
    assert (refused.value.param, refused.value.code) == (param, code)
