"""What the services logged about one batch."""

from __future__ import annotations

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.log_lines import LogsObject, logs_view
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import Dependencies

NOT_HERE = "The services of this server keep no log files here: ask the place that gathers their output, such as Loki."


async def logs_of(dependencies: Dependencies, owner: OwnerId, batch_id: str, limit: int) -> LogsObject:
    """Return the newest `limit` lines. Raises Refusal when the batch is unknown, or when no logs are kept here."""
    batch = await find_batch(dependencies, owner, batch_id)
    if dependencies.logs is None:
        raise Refusal(Reason.LOGS_ELSEWHERE, NOT_HERE)
    return logs_view(await dependencies.logs.about(batch.id, limit))
