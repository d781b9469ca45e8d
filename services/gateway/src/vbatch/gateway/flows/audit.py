"""Who did what, read from the log: headers only, page by page."""

from __future__ import annotations

from vbatch.contracts.audit import AuditEntry, audit_entry, audit_subjects
from vbatch.gateway.core.audit_asks import AuditAsk
from vbatch.gateway.ports import Dependencies


async def read_audit(dependencies: Dependencies, params: AuditAsk) -> list[AuditEntry]:
    """Oldest first, behind `ask.after`; one more than `ask.limit`, if there are more."""
    subjects = audit_subjects()
    newest = [await dependencies.log.last(subject) for subject in subjects]
    head = max((record.sequence for record in newest if record is not None), default=0)
    found: list[AuditEntry] = []
    if head <= params.after:
        return found
    async with dependencies.log.tail(params.after, subjects, headers_only=True) as tail:
        async for records in tail:
            for record in records:
                entry = audit_entry(record.sequence, record.headers)
                if entry is not None and params.wants(entry):
                    found.append(entry)
            if len(found) > params.limit or records[-1].sequence >= head:
                return found[: params.limit + 1]
    return found
