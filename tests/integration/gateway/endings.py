"""Brings a batch to its end as the scheduler and a runner would, with an answer for some of its lines."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from tests.integration.gateway.stage import CHAT, Stage
from tests.support.events import EPOCH, MODEL, NOON, RUNNER
from vbatch.contracts import events as e
from vbatch.contracts.failures import REQUEST_FAULT_MESSAGES, RequestFault
from vbatch.contracts.ids import BatchId, SliceId

FAULT = RequestFault.REQUEST_TIMEOUT
END_SECONDS_MAX = 20


def request(custom_id: str, **body: Any) -> dict[str, Any]:
    content = {"model": "plain", "messages": [{"role": "user", "content": custom_id}]} | body
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": content}


def jsonl(*custom_ids: str) -> bytes:
    return b"".join(json.dumps(request(custom_id)).encode() + b"\n" for custom_id in custom_ids)


async def created_of(stage: Stage, *custom_ids: str, **more: Any) -> Any:
    file = await stage.client.files.create(file=jsonl(*custom_ids), purpose="batch")
    return await stage.client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", **more)


def outcome(line: int, custom_id: str, answer: str | None) -> e.Outcome:
    """An answer with this text, or, without one, a failure."""
    if answer is None:
        error = e.RequestError(code=FAULT, message=REQUEST_FAULT_MESSAGES[FAULT])
        return e.Outcome(line=line, custom_id=custom_id, error=error)
    body = msgspec.Raw(json.dumps({"answer": answer}).encode())
    return e.Outcome(line=line, custom_id=custom_id, status_code=200, body=body)


async def runs(stage: Stage, batch_id: str, total: int, outcomes: list[e.Outcome], *, epoch: int = EPOCH) -> None:
    """The file is valid and these outcomes are recorded."""
    models = (e.ModelTotal(model=MODEL, requests=total, input_bytes=1),)
    chunk = e.ChunkCompleted(
        batch_id=BatchId(batch_id),
        slice_id=SliceId(f"s-{batch_id[-8:]}"),
        runner_id=RUNNER,
        epoch=epoch,
        chunk=1,
        model=MODEL,
        outcomes=tuple(outcomes),
        at=NOON,
    )
    validated = e.BatchValidated(batch_id=BatchId(batch_id), total=total, last_line=total, models=models, at=NOON)
    await stage.tell(validated, *([chunk] if outcomes else []))


async def ends(stage: Stage, batch_id: str, ending: e.Ending = e.Ending.COMPLETED) -> Any:
    """Counting ends; the batch as it is once results has sealed it."""
    if ending is e.Ending.CANCELLED:
        await stage.tell(e.BatchCancelRequested(batch_id=BatchId(batch_id), at=NOON))
    await stage.tell(e.BatchFinalizing(batch_id=BatchId(batch_id), ending=ending, never_ran_count=0, at=NOON))
    async with asyncio.timeout(END_SECONDS_MAX):
        while (batch := await stage.client.batches.retrieve(batch_id)).status != ending:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return batch
