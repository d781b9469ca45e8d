"""Requests of an ended batch run again without a new upload, and the answers of the family are one list."""

import json
from typing import Any

import openai
import pytest
from openai.types import Batch

from tests.integration.gateway.endings import created_of, ends, jsonl, outcome, runs
from tests.integration.gateway.stage import Stage
from vbatch.contracts import events as e

pytestmark = pytest.mark.integration


async def retry(stage: Stage, batch_id: str, headers: Any = None, **body: Any) -> Any:
    options: Any = {"headers": headers or {}}
    return await stage.client.post(f"/batches/{batch_id}/retry", cast_to=Batch, body=body or None, options=options)


async def input_of(stage: Stage, batch: Any) -> bytes:
    return (await stage.client.files.content(batch.input_file_id)).content


async def half_failed(stage: Stage, ending: e.Ending = e.Ending.COMPLETED, **more: Any) -> Any:
    """A batch of four requests: `a` is answered, `b` has failed, `c` and `d` are as the ending leaves them."""
    batch = await created_of(stage, "a", "b", "c", "d", **more)
    done = [outcome(1, "a", "first"), outcome(2, "b", None)]
    rest = [outcome(3, "c", None), outcome(4, "d", "first")] if ending is e.Ending.COMPLETED else []
    await runs(stage, batch.id, 4, done + rest)
    return await ends(stage, batch.id, ending)


async def merged(stage: Stage, batch_id: str) -> dict[str, str | None]:
    answer = await stage.ask("GET", f"/v1/batches/{batch_id}/results?merged=true")
    assert answer.status == 200, answer.body
    lines = [json.loads(line) for line in answer.body.splitlines()]
    return {line["custom_id"]: line["response"] and line["response"]["body"]["answer"] for line in lines}


async def test_a_retry_is_a_new_batch_of_the_failed_requests_with_the_metadata_of_the_old(stage: Stage):
    old = await half_failed(stage, metadata={"project": "x"}, extra_body={"priority": 7})
    new = await retry(stage, old.id)

    assert new.id != old.id and new.retry_of == old.id and new.status == "validating"
    assert (new.metadata, new.priority, new.endpoint) == ({"project": "x"}, 7, old.endpoint)
    assert await input_of(stage, new) == jsonl("b", "c")
    assert (await stage.client.batches.retrieve(old.id)) == old


async def test_the_made_file_is_listed_as_any_other(stage: Stage):
    new = await retry(stage, (await half_failed(stage)).id)
    file = await stage.client.files.retrieve(new.input_file_id)

    assert (file.purpose, file.bytes) == ("batch", len(jsonl("b", "c")))
    assert new.input_file_id in [each.id async for each in stage.client.files.list(purpose="batch")]


@pytest.mark.parametrize(
    ("ending", "select", "selected"),
    [
        (e.Ending.CANCELLED, ["cancelled"], jsonl("c", "d")),
        (e.Ending.CANCELLED, ["failed"], jsonl("b")),
        (e.Ending.EXPIRED, ["expired", "failed"], jsonl("b", "c", "d")),
        (e.Ending.EXPIRED, None, jsonl("b", "c", "d")),
    ],
)
async def test_requests_are_selected_by_what_became_of_them(
    stage: Stage, ending: e.Ending, select: list[str] | None, selected: bytes
):
    old = await half_failed(stage, ending)
    new = await retry(stage, old.id, **({"select": select} if select else {}))

    assert await input_of(stage, new) == selected


async def test_requests_are_selected_by_custom_id_whatever_became_of_them(stage: Stage):
    old = await half_failed(stage, e.Ending.CANCELLED)
    new = await retry(stage, old.id, custom_ids=["d", "a"])

    assert await input_of(stage, new) == jsonl("a", "d")


async def test_the_merged_results_have_the_newest_answer_of_each_request_for_every_member(stage: Stage):
    old = await half_failed(stage, e.Ending.CANCELLED)
    second = await retry(stage, old.id)
    await runs(stage, second.id, 3, [outcome(1, "b", "second"), outcome(2, "c", None)])
    await ends(stage, second.id, e.Ending.CANCELLED)
    third = await retry(stage, second.id, custom_ids=["c", "d"])

    expected = {"a": "first", "b": "second", "c": None}
    for batch in (old, second, third):
        assert await merged(stage, batch.id) == expected  # d has not run anywhere yet

    await runs(stage, third.id, 2, [outcome(1, "c", None), outcome(2, "d", "third")])
    await ends(stage, third.id)
    assert await merged(stage, second.id) == expected | {"d": "third"}


async def test_every_member_lists_the_whole_family(stage: Stage):
    old = await half_failed(stage, e.Ending.CANCELLED)
    second = await retry(stage, old.id)
    await ends(stage, second.id, e.Ending.CANCELLED)
    third = await retry(stage, second.id, custom_ids=["d"])
    stranger = await half_failed(stage)

    for batch in (old, second, third):
        family = (await stage.ask("GET", f"/v1/batches/{batch.id}/family")).json
        assert [each["id"] for each in family["data"]] == [old.id, second.id, third.id] and not family["has_more"]
    alone = (await stage.ask("GET", f"/v1/batches/{stranger.id}/family")).json
    assert [each["id"] for each in alone["data"]] == [stranger.id]
    assert (await stage.ask("GET", f"/v1/batches/batch_{'0' * 32}/family")).status == 404


async def test_a_failed_try_never_hides_an_earlier_answer(stage: Stage):
    old = await half_failed(stage)
    new = await retry(stage, old.id, custom_ids=["a"])
    await runs(stage, new.id, 1, [outcome(1, "a", None)])

    assert (await merged(stage, new.id))["a"] == "first"


async def test_merged_results_are_incomplete_while_a_retry_runs(stage: Stage):
    old = await half_failed(stage)
    path = f"/v1/batches/{old.id}/results?merged=true"
    assert (await stage.ask("GET", path)).headers["x-incomplete"] == "false"
    await retry(stage, old.id)
    assert (await stage.ask("GET", path)).headers["x-incomplete"] == "true"


async def test_merged_results_need_the_files_of_the_whole_family(stage: Stage):
    old = await half_failed(stage)
    new = await retry(stage, old.id)
    assert old.output_file_id is not None
    await stage.client.files.delete(old.output_file_id)

    answer = await stage.ask("GET", f"/v1/batches/{new.id}/results?merged=true")
    assert (answer.status, answer.error["message"]) == (404, f"No such File object: {old.output_file_id}")


async def test_merged_results_are_not_paged(stage: Stage):
    old = await half_failed(stage)
    answer = await stage.ask("GET", f"/v1/batches/{old.id}/results?merged=true&limit=1")
    assert (answer.status, answer.error["param"]) == (400, "limit")


async def test_the_same_idempotency_key_gives_the_same_retry_and_another_selection_is_refused(stage: Stage):
    old = await half_failed(stage)
    headers = {"Idempotency-Key": "again"}
    first, second = [await retry(stage, old.id, headers, select=["failed"]) for _ in range(2)]

    assert first.id == second.id and await input_of(stage, second) == jsonl("b", "c")
    with pytest.raises(openai.ConflictError) as refused:
        await retry(stage, old.id, headers, custom_ids=["a"])
    assert refused.value.code == "idempotency_key_reused"


async def test_a_repeated_ask_of_the_official_client_finds_the_retry_that_it_made(stage: Stage):
    old = await half_failed(stage)
    first = await retry(stage, old.id, custom_ids=["a"])
    other = await retry(stage, old.id, custom_ids=["b"])
    again = await retry(stage, old.id, {"x-stainless-retry-count": "1"}, custom_ids=["a"])

    assert again.id == first.id != other.id


async def test_a_batch_that_still_runs_or_never_ran_is_not_retried(stage: Stage):
    batch = await created_of(stage, "a")
    with pytest.raises(openai.ConflictError, match="it has not ended"):
        await retry(stage, batch.id)
    await stage.tell(e.BatchRejected(batch_id=batch.id, faults=(), at=stage.parts.dependencies.now()))
    with pytest.raises(openai.ConflictError, match="it never ran"):
        await retry(stage, batch.id)


async def test_a_selection_of_nothing_or_of_unknown_requests_is_refused(stage: Stage):
    old = await half_failed(stage)
    with pytest.raises(openai.BadRequestError, match="No request of this batch is expired"):
        await retry(stage, old.id, select=["expired"])
    with pytest.raises(openai.BadRequestError, match="1 of them are in no request of this batch: 'z'"):
        await retry(stage, old.id, custom_ids=["a", "z"])
    assert [path.name for path in stage.stored_blobs() if "retry" in path.name] == []


async def test_a_batch_whose_input_file_is_gone_is_not_retried(stage: Stage):
    old = await half_failed(stage)
    await stage.client.files.delete(old.input_file_id)

    with pytest.raises(openai.NotFoundError, match="deleted or has expired"):
        await retry(stage, old.id)


async def test_nobody_retries_a_batch_that_is_not_there(stage: Stage):
    with pytest.raises(openai.NotFoundError):
        await retry(stage, f"batch_{'0' * 32}")
