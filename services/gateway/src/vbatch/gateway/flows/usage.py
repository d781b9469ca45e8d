"""What was used: by one owner, or by all."""

from __future__ import annotations

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.usage import ROWS_MAX, UsageAsk, UsageObject, usage_view
from vbatch.gateway.ports import Dependencies


async def usage(dependencies: Dependencies, owner: OwnerId | None, ask: UsageAsk) -> UsageObject:
    """`owner` is None for all of them."""
    rows = await dependencies.reads.usage_by_day(owner, ask.begins, ask.ends, ROWS_MAX + 1)
    return usage_view(ask, rows)
