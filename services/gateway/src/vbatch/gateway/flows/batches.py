"""Creates, finds, lists, steers and cancels batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, OwnerId, is_batch_id, new_batch_id
from vbatch.contracts.subjects import BATCHES_CREATED, batch_events
from vbatch.gateway.core.batches.cancelling import answers_at_once, check_cancellable, with_cancel_requested
from vbatch.gateway.core.batches.create_batch import RETRY_SECONDS_MAX, key_reused
from vbatch.gateway.core.batches.retry import check_retryable
from vbatch.gateway.core.batches.steering import Prioritize, SteeringCommand, check_steerable, steering_event
from vbatch.gateway.core.pages import BATCHES_MAX, ListBatchesParams
from vbatch.gateway.core.quotas import check_priority
from vbatch.gateway.core.records import BatchRecord, batch_of
from vbatch.gateway.core.refusals import no_such_batch, not_a_batch_id, unavailable
from vbatch.gateway.flows.new_batches import NewBatch
from vbatch.gateway.flows.quotas import must_have_room_for_batches
from vbatch.gateway.flows.writing import append, append_all, can_read, is_news, must_read
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Conflict, Full, Guard


async def create_batch(dependencies: Dependencies, owner: OwnerId, asked: NewBatch) -> BatchRecord:
    """Create a batch; its status is `validating`. Raises Refusal when the owner's quota is used up."""
    await must_have_room_for_batches(dependencies, owner, asked.priority, asked.batch_count)
    batch_id = new_batch_id(dependencies.now(), dependencies.entropy(10))
    files, created = await asked.events(dependencies, owner, batch_id)
    try:
        sequence = await _append(dependencies, files, created)
    except Full:
        for file in files:  # not in the log; after other errors it may be, so the bytes stay
            await dependencies.blobs.delete(file.blob)
        raise
    reached(Failpoint.BATCH_RECORDED)
    await can_read(dependencies, sequence)
    return batch_of(created[0], sequence)


async def create_batch_once(dependencies: Dependencies, owner: OwnerId, asked: NewBatch, key: str) -> BatchRecord:
    """Return the current batch of this idempotency key, created if there is none. Raises Refusal if its parameters
    differ."""
    batch_id = _batch_id_of_key(owner, key)
    if await dependencies.log.last(batch_events(batch_id)) is not None:
        return await _existing(dependencies, owner, asked, batch_id)
    await must_have_room_for_batches(dependencies, owner, asked.priority, asked.batch_count)
    files, created = await asked.events(dependencies, owner, batch_id)
    try:
        sequence = await _append(dependencies, files, created, Guard(batch_events(batch_id), 0))
    except Conflict:
        return await _existing(dependencies, owner, asked, batch_id)
    reached(Failpoint.BATCH_RECORDED)
    if await can_read(dependencies, sequence):
        return await _existing(dependencies, owner, asked, batch_id)
    return batch_of(created[0], sequence)


async def create_batch_again(dependencies: Dependencies, owner: OwnerId, asked: NewBatch) -> BatchRecord:
    """Return the batch that the same request created moments ago if its answer was lost; else a new one. Raises
    Refusal."""
    newest = await dependencies.log.last(BATCHES_CREATED)
    if newest is not None:
        await must_read(dependencies, newest.sequence)
    since = dependencies.now() - timedelta(seconds=RETRY_SECONDS_MAX)
    for batch in await dependencies.reads.batches(owner, ListBatchesParams(limit=BATCHES_MAX, created_after=since)):
        if asked.is_made_by(batch):
            return batch
    return await create_batch(dependencies, owner, asked)


async def batch_to_retry(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> BatchRecord:
    """Raises Refusal if the batch is unknown, has not ended, or never ran."""
    batch = await find_batch(dependencies, owner, batch_id)
    check_retryable(batch)
    return batch


async def find_batch(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> BatchRecord:
    """Find a batch. Raises Refusal if neither the read model nor the log knows it."""
    if not batch_id.startswith("batch"):
        raise not_a_batch_id(batch_id)
    batch = await _find(dependencies, owner, BatchId(batch_id)) if is_batch_id(batch_id) else None
    if batch is None:
        raise no_such_batch(batch_id)
    return batch


async def family_of(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> list[BatchRecord]:
    """Return the first batch of the family and all its direct and indirect retries, oldest first. Raises Refusal."""
    batch = await find_batch(dependencies, owner, batch_id)
    return await dependencies.reads.family(owner, batch.id)


async def _find(dependencies: Dependencies, owner: OwnerId, batch_id: BatchId) -> BatchRecord | None:
    batch = await dependencies.reads.batch(owner, batch_id)
    if batch is None and await is_news(dependencies, batch_events(batch_id)):
        return await dependencies.reads.batch(owner, batch_id)
    return batch


async def list_batches(dependencies: Dependencies, owner: OwnerId, params: ListBatchesParams) -> list[BatchRecord]:
    return await dependencies.reads.batches(owner, params)


async def cancel_batch(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> BatchRecord:
    """Return the batch after the cancel, as the fold decided: it may have ended first.

    Raises Refusal if the batch is unknown or over.
    """
    batch = await find_batch(dependencies, owner, batch_id)
    check_cancellable(batch)
    if answers_at_once(batch.status):
        return batch
    sequence = await append(dependencies, e.BatchCancelRequested(at=dependencies.now(), batch_id=batch.id))
    reached(Failpoint.CANCEL_RECORDED)
    await must_read(dependencies, sequence)
    batch = await find_batch(dependencies, owner, batch_id)
    check_cancellable(batch)
    return with_cancel_requested(batch)


async def steer_batch(
    dependencies: Dependencies, owner: OwnerId, batch_id: str, params: SteeringCommand
) -> BatchRecord:
    """Return the batch after the command, as the fold decided: it may have ended first.

    Raises Refusal if the batch is unknown or over.
    """
    batch = await find_batch(dependencies, owner, batch_id)
    if isinstance(params, Prioritize):
        check_priority(dependencies.access.quota(owner), params.priority)
    event = steering_event(batch, params, dependencies.now())
    if event is None:
        return batch
    sequence = await append(dependencies, event)
    await must_read(dependencies, sequence)
    batch = await find_batch(dependencies, owner, batch_id)
    check_steerable(batch, params)
    return batch


async def _append(
    dependencies: Dependencies,
    files: Sequence[e.FileStored],
    created: Sequence[e.BatchCreated],
    guard: Guard | None = None,
) -> int:
    """Append the batches of one request, and a file that is made for them, together or not at all."""
    if not files and len(created) == 1:
        return await append(dependencies, created[0], guard)
    reached(Failpoint.BLOB_STORED)
    return await append_all(dependencies, [*files, *created], guard)


def _batch_id_of_key(owner: OwnerId, key: str) -> BatchId:
    """Derive the id from the key, so that a repeated create conflicts with the first one in the log itself."""
    return BatchId("batch_" + hashlib.sha256(f"{owner}|{key}".encode()).hexdigest()[:32])


async def _existing(dependencies: Dependencies, owner: OwnerId, asked: NewBatch, batch_id: BatchId) -> BatchRecord:
    newest = await dependencies.log.last(batch_events(batch_id))
    if newest is None:
        raise unavailable("The batch of this Idempotency-Key cannot be shown yet.")
    await must_read(dependencies, newest.sequence)
    batch = await find_batch(dependencies, owner, batch_id)
    if not asked.is_made_by(batch):
        raise key_reused()
    return batch
