"""Why batches wait: the scheduler's forecast, reduced to what the owner may see."""

from __future__ import annotations

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.forecast_views import QueueObject, WhyObject, queue_view, why_view
from vbatch.gateway.core.queue_pause import QueuePause
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import Dependencies


def queue_of(dependencies: Dependencies, owner: OwnerId, pause: QueuePause) -> QueueObject:
    """Return the owner's queue. Raises SchedulerUnavailable."""
    return queue_view(owner, dependencies.forecasts.forecast(), pause)


async def why(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> WhyObject:
    """Explain why a batch waits. Raises SchedulerUnavailable, or Refusal if the batch is unknown."""
    batch = await find_batch(dependencies, owner, batch_id)
    told = None if batch.is_over else await dependencies.forecasts.why(batch.id)
    return why_view(owner, batch, told, dependencies.now())


async def queue_if_priority(dependencies: Dependencies, owner: OwnerId, batch_id: str, priority: int) -> QueueObject:
    """Return the owner's queue if the batch had this priority; unchanged for a batch that has ended. Raises
    SchedulerUnavailable, or Refusal if the batch is unknown."""
    batch = await find_batch(dependencies, owner, batch_id)
    forecast = await dependencies.forecasts.if_priority(batch.id, priority)
    return queue_view(owner, forecast or dependencies.forecasts.forecast())
