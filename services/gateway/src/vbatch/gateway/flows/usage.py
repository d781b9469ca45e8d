"""The usage of one owner, or of all."""

from __future__ import annotations

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.usage import ROWS_MAX, UsageObject, UsageParams, usage_view
from vbatch.gateway.ports import Dependencies


async def usage(dependencies: Dependencies, owner: OwnerId | None, params: UsageParams) -> UsageObject:
    """Return the usage; `owner` is None for all owners."""
    rows = await dependencies.reads.usage_by_day(owner, params.begins, params.ends, ROWS_MAX + 1)
    return usage_view(params, rows)
