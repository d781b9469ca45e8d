"""Batches: creating, finding, listing, steering, cancelling."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, OwnerId, is_batch_id, new_batch_id
from vbatch.contracts.subjects import BATCHES_CREATED, batch_events
from vbatch.gateway.core.cancelling import answers_at_once, as_asked, check_cancellable
from vbatch.gateway.core.create_batch import RETRY_SECONDS_MAX, BatchAsk, check_same_ask, is_made_by
from vbatch.gateway.core.pages import BATCHES_MAX, BatchesAsk
from vbatch.gateway.core.records import BatchRecord, batch_of
from vbatch.gateway.core.refusals import no_such_batch, not_a_batch_id, unavailable
from vbatch.gateway.core.steering import SteeringAsk, check_steerable, steering_event
from vbatch.gateway.flows.writing import append, can_read, is_news, must_read
from vbatch.gateway.ports import World
from vbatch.journal.port import Conflict, Guard


async def create_batch(world: World, owner: OwnerId, ask: BatchAsk) -> BatchRecord:
    """A new batch, `validating`."""
    event = _created(world, owner, ask, new_batch_id(world.now(), world.entropy(10)))
    sequence = await append(world, event)
    reached(Failpoint.BATCH_RECORDED)
    await can_read(world, sequence)
    return batch_of(event, sequence)


async def create_batch_once(world: World, owner: OwnerId, ask: BatchAsk, key: str) -> BatchRecord:
    """The batch of this idempotency key as it stands now, made if there is none. Raises Refusal for another ask."""
    event = _created(world, owner, ask, _batch_id_of_key(owner, key))
    try:
        sequence = await append(world, event, Guard(batch_events(event.batch_id), 0))
    except Conflict:
        return await _existing(world, owner, ask, event.batch_id)
    reached(Failpoint.BATCH_RECORDED)
    if await can_read(world, sequence):
        return await _existing(world, owner, ask, event.batch_id)
    return batch_of(event, sequence)


async def create_batch_again(world: World, owner: OwnerId, ask: BatchAsk) -> BatchRecord:
    """The batch that the same ask made a moment ago, if its answer was lost; else a new one. Raises Refusal."""
    newest = await world.log.last(BATCHES_CREATED)
    if newest is not None:
        await must_read(world, newest.sequence)
    since = world.now() - timedelta(seconds=RETRY_SECONDS_MAX)
    for batch in await world.reads.batches(owner, BatchesAsk(limit=BATCHES_MAX, created_after=since)):
        if is_made_by(batch, ask):
            return batch
    return await create_batch(world, owner, ask)


async def find_batch(world: World, owner: OwnerId, batch_id: str) -> BatchRecord:
    """Raises Refusal (E4, E5); that a batch is not there is only said when the log does not know it either."""
    if not batch_id.startswith("batch"):
        raise not_a_batch_id(batch_id)
    batch = await _find(world, owner, BatchId(batch_id)) if is_batch_id(batch_id) else None
    if batch is None:
        raise no_such_batch(batch_id)
    return batch


async def _find(world: World, owner: OwnerId, batch_id: BatchId) -> BatchRecord | None:
    batch = await world.reads.batch(owner, batch_id)
    if batch is None and await is_news(world, batch_events(batch_id)):
        return await world.reads.batch(owner, batch_id)
    return batch


async def list_batches(world: World, owner: OwnerId, ask: BatchesAsk) -> list[BatchRecord]:
    return await world.reads.batches(owner, ask)


async def cancel_batch(world: World, owner: OwnerId, batch_id: str) -> BatchRecord:
    """The batch after the cancel, as the fold decided: it may have ended first. Raises Refusal (E4, E5, E14)."""
    batch = await find_batch(world, owner, batch_id)
    check_cancellable(batch)
    if answers_at_once(batch.status):
        return batch
    sequence = await append(world, e.BatchCancelRequested(at=world.now(), batch_id=batch.id))
    reached(Failpoint.CANCEL_RECORDED)
    await must_read(world, sequence)
    batch = await find_batch(world, owner, batch_id)
    check_cancellable(batch)
    return as_asked(batch)


async def steer_batch(world: World, owner: OwnerId, batch_id: str, ask: SteeringAsk) -> BatchRecord:
    """The batch after the ask, as the fold decided: it may have ended first. Raises Refusal (E4, E5, E14)."""
    batch = await find_batch(world, owner, batch_id)
    event = steering_event(batch, ask, world.now())
    if event is None:
        return batch
    sequence = await append(world, event)
    await must_read(world, sequence)
    batch = await find_batch(world, owner, batch_id)
    check_steerable(batch, ask)
    return batch


def _created(world: World, owner: OwnerId, ask: BatchAsk, batch_id: BatchId) -> e.BatchCreated:
    now = world.now()
    return e.BatchCreated(
        at=now,
        batch_id=batch_id,
        owner=owner,
        input_file_id=ask.input_file_id,
        endpoint=ask.endpoint,
        completion_window=ask.completion_window,
        expires_at=now + timedelta(seconds=ask.window_seconds),
        metadata=ask.metadata,
        output_expires_after_seconds=ask.output_expires_after_seconds,
        priority=ask.priority,
    )


def _batch_id_of_key(owner: OwnerId, key: str) -> BatchId:
    """The same for ever, so a repeated create meets the first one in the log itself."""
    return BatchId("batch_" + hashlib.sha256(f"{owner}|{key}".encode()).hexdigest()[:32])


async def _existing(world: World, owner: OwnerId, ask: BatchAsk, batch_id: BatchId) -> BatchRecord:
    newest = await world.log.last(batch_events(batch_id))
    if newest is None:
        raise unavailable("The batch of this Idempotency-Key cannot be shown yet.")
    await must_read(world, newest.sequence)
    batch = await find_batch(world, owner, batch_id)
    check_same_ask(batch, ask)
    return batch
