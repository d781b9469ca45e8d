"""Who did what, read from the log: headers only, page by page."""

from __future__ import annotations

from vbatch.contracts.audit import AuditEntry, audit_entry, audit_subjects
from vbatch.gateway.core.audit_params import AuditParams
from vbatch.gateway.ports import Dependencies

SPAN_EVENTS = 20_000
"""The newest entries are first looked for in this many events, then in four times as many, and so on."""
SPAN_GROWTH = 4


async def read_audit(dependencies: Dependencies, params: AuditParams) -> list[AuditEntry]:
    """Return the entries in the requested order; one more than `params.limit`, if there are more."""
    subjects = audit_subjects()
    newest = [await dependencies.log.last(subject) for subject in subjects]
    head = max((record.sequence for record in newest if record is not None), default=0)
    last = min(head, params.before - 1)
    if last <= params.after:
        return []
    if params.is_newest_first:
        return await _newest_first(dependencies, params, last)
    return await _between(dependencies, params, params.after, last, count_max=params.limit + 1)


async def _newest_first(dependencies: Dependencies, params: AuditParams, last: int) -> list[AuditEntry]:
    span = SPAN_EVENTS
    while True:
        after = max(params.after, last - span)
        found = await _between(dependencies, params, after, last)
        if len(found) > params.limit or after == params.after:
            return found[::-1][: params.limit + 1]
        span *= SPAN_GROWTH


async def _between(
    dependencies: Dependencies, params: AuditParams, after: int, last: int, *, count_max: int | None = None
) -> list[AuditEntry]:
    """Return the wanted entries after `after` up to `last`, oldest first; at most `count_max`. An audited event must
    exist at `last` or after it."""
    found: list[AuditEntry] = []
    async with dependencies.log.tail(after, audit_subjects(), headers_only=True) as tail:
        async for records in tail:
            for record in records:
                entry = audit_entry(record.sequence, record.headers)
                if entry is not None and record.sequence <= last and params.wants(entry):
                    found.append(entry)
            if records[-1].sequence >= last or (count_max is not None and len(found) >= count_max):
                break
    return found[:count_max]
