"""A batch of chats with real texts, answered, for the tests of judgements and data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.integration.gateway.stage import Answer, Stage
from tests.support.events import MODEL, NOON, OWNER, RUNNER
from tests.support.exchanges import CHAT_URL, asked, chat_outcome
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, SliceId, new_batch_id, new_file_id


async def answered_batch(stage: Stage, number: int, exchanges: Sequence[tuple[str, str]]) -> BatchId:
    """A batch of these questions and answers, on the lines from 1 on; it still runs."""
    requests = [asked(line, question) for line, (question, _) in enumerate(exchanges, 1)]
    return await told_batch(
        stage, number, requests, [chat_outcome(n, text) for n, (_, text) in enumerate(exchanges, 1)]
    )


async def told_batch(
    stage: Stage, number: int, requests: Sequence[bytes], outcomes: Sequence[e.Outcome], endpoint: str = CHAT_URL
) -> BatchId:
    """A batch of these request lines with these outcomes; it still runs."""
    batch_id, file_id = new_batch_id(NOON, number.to_bytes(10, "big")), new_file_id(number.to_bytes(16, "big"))
    content = b"".join(request + b"\n" for request in requests)
    async with stage.place.blobs.writer(f"files/{file_id}") as writer:
        await writer.write(content)
    stored = e.FileStored(
        file_id=file_id,
        owner=OWNER,
        purpose="batch",
        filename="in.jsonl",
        bytes=len(content),
        sha256="00" * 32,
        blob=f"files/{file_id}",
        at=NOON,
    )
    created = e.BatchCreated(
        batch_id=batch_id,
        owner=OWNER,
        input_file_id=file_id,
        endpoint=endpoint,
        completion_window="24h",
        expires_at=NOON,
        at=NOON,
    )
    total = len(requests)
    validated = e.BatchValidated(
        batch_id=batch_id,
        total=total,
        last_line=total,
        models=(e.ModelTotal(model=MODEL, requests=total, input_bytes=len(content)),),
        at=NOON,
    )
    chunks = [
        e.ChunkCompleted(
            batch_id=batch_id,
            slice_id=SliceId("s-1"),
            runner_id=RUNNER,
            epoch=1,
            chunk=first,
            model=MODEL,
            outcomes=tuple(outcomes[first : first + 200]),
            at=NOON,
        )
        for first in range(0, total, 200)
    ]
    await stage.tell(stored, created, validated, *chunks)
    return batch_id


async def judge(stage: Stage, *judgements: Mapping[str, Any], headers: Mapping[str, str] = {}, **more: Any) -> Answer:
    return await stage.ask("POST", "/v1/judgements", json={"judgements": list(judgements)} | more, headers=headers)
