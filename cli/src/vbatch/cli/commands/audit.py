"""audit: who did what, read from the log on the machine of the server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from vbatch.cli.open_log import NatsUrl, opened_log
from vbatch.cli.options import AsJson, out, print_json, print_table, run, table_of
from vbatch.cli.time_spec import HELP, last_before, time_spec
from vbatch.contracts.audit import AuditEntry, audit_entry, audit_subjects
from vbatch.journal.port import Log

SHOWN_MAX = 10_000

Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help=f"Only what was done from then: {HELP}.")]
ActorOption = Annotated[str | None, typer.Option("--actor", help="Only what this key did, or `local`, or `operator`.")]
ObjectOption = Annotated[str | None, typer.Option("--object", metavar="ID", help="Only what was done to this object.")]
Limit = Annotated[int, typer.Option("-n", "--limit", min=1, max=SHOWN_MAX, help="At most so many, the newest.")]


def audit(
    since: Since = None,
    actor: ActorOption = None,
    object_id: ObjectOption = None,
    limit: Limit = 100,
    nats_url: NatsUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, when, with which key and from where, oldest first. Refused requests are in the gateway's
    log."""

    async def ask() -> list[AuditEntry]:
        async with opened_log(nats_url) as journal:
            after = await last_before(journal.log, time_spec(since, datetime.now(UTC))) if since else 0
            return await _entries(journal.log, after, actor=actor, object_id=object_id)

    entries = run(ask())[-limit:]
    if not as_json:
        _show(entries)
    for entry in entries if as_json else ():
        print_json(msgspec.json.encode(entry))


async def _entries(log: Log, after: int, *, actor: str | None, object_id: str | None) -> list[AuditEntry]:
    subjects = audit_subjects()
    newest = [await log.last(subject) for subject in subjects]
    head = max((record.sequence for record in newest if record is not None), default=0)
    found: list[AuditEntry] = []
    if head <= after:
        return found
    async with log.tail(after, subjects, headers_only=True) as tail:
        async for records in tail:
            entries = [audit_entry(record.sequence, record.headers) for record in records]
            found += [entry for entry in entries if entry is not None and _is_wanted(entry, actor, object_id)]
            if records[-1].sequence >= head:
                break
    return found


def _is_wanted(entry: AuditEntry, actor: str | None, object_id: str | None) -> bool:
    return actor in (None, entry.actor) and object_id in (None, entry.object_id)


def _show(entries: list[AuditEntry]) -> None:
    if not entries:
        out.print("Nobody has changed anything.")
        return
    table = table_of("event", "when", "who", "from", "did", "object", numbers=("event",))
    for entry in entries:
        at = entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(str(entry.sequence), at, entry.actor, entry.address or "", entry.action, entry.object_id)
    print_table(table)
