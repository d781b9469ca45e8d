"""Why batches wait: what the scheduler foretells, cut to what the asker may see."""

from __future__ import annotations

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.outlooks import QueueObject, WhyObject, queue_view, why_view
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import World


def queue_of(world: World, owner: OwnerId) -> QueueObject:
    """Raises SchedulerUnavailable."""
    return queue_view(owner, world.outlook.forecast())


async def why(world: World, owner: OwnerId, batch_id: str) -> WhyObject:
    """Raises Refusal (E4, E5), SchedulerUnavailable."""
    batch = await find_batch(world, owner, batch_id)
    told = None if batch.is_over else await world.outlook.why(batch.id)
    return why_view(owner, batch, told, world.now())
