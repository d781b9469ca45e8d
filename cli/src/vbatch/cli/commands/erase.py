"""erase: deletes everything of an owner, or checks whether a text is still stored anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from vbatch.chassis import logs
from vbatch.cli.exits import Exit, Misused, Unreachable
from vbatch.cli.open_log import opened_log
from vbatch.cli.options import AsJson, err, local_settings, out, print_json, run
from vbatch.contracts import codec, events as e
from vbatch.contracts.event_text import amount
from vbatch.contracts.ids import FileId, OwnerId
from vbatch.journal.port import Log
from vbatch.local.needle import NEEDLE_BYTES_MAX, NEEDLE_BYTES_MIN, Found, in_files, in_log
from vbatch.results.flows.archiving import read_until

SOURCE = "operator"
FILE_EVENTS = ("evt.file.*.stored", "evt.file.*.deleted")

Owner = Annotated[str | None, typer.Option("--owner", metavar="NAME", help="Delete every file of this owner.")]
Verify = Annotated[
    str | None, typer.Option("--verify", metavar="NEEDLE", help="Delete nothing: look for this text everywhere.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask first.")]


def erase(owner: Owner = None, verify: Verify = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Erase what an owner's files held: requests, answers, and their copies in archives and log. Ids and counts
    stay."""
    logs.configure("erase", "warning")
    if verify is not None and owner is None:
        _report(run(_looked(verify)), as_json=as_json)
    elif owner is not None and verify is None:
        _erase_owner(OwnerId(owner), yes=yes, as_json=as_json)
    else:
        run(_misused())


async def _misused() -> None:
    raise Misused("Give --owner NAME to erase, or --verify NEEDLE to look.")


def _erase_owner(owner: OwnerId, *, yes: bool, as_json: bool) -> None:
    files = run(_files_of(owner))
    if not files:
        err.print(f"{owner} has no files.", markup=False)
        return
    if not yes:
        typer.confirm(f"Delete {amount(len(files), 'file')} of {owner}? This cannot be undone", abort=True, err=True)
    run(_deleted(owner, files))
    if as_json:
        print_json(msgspec.json.encode({"owner": owner, "deleted": files}))
    else:
        _show_deleted(owner, files)


def _show_deleted(owner: OwnerId, files: Sequence[FileId]) -> None:
    out.print(f"Deleted {amount(len(files), 'file')} of {owner}. Their bytes go within minutes:", markup=False)
    out.print("look with `vbatch erase --verify TEXT`. Backups keep them until they are pruned.", markup=False)


async def _files_of(owner: OwnerId) -> list[FileId]:
    """Return the files of the owner that are not deleted, in the order in which they were stored."""
    found: dict[FileId, OwnerId] = {}
    async with opened_log(None) as journal:
        async for event in _file_events(journal.log):
            if isinstance(event, e.FileStored):
                found[event.file_id] = event.owner
            else:
                found.pop(event.file_id, None)
    return [file_id for file_id, of in found.items() if of == owner]


async def _file_events(log: Log) -> AsyncIterator[e.FileStored | e.FileDeleted]:
    async for records in read_until(log, FILE_EVENTS, 0):
        for record in records:
            with suppress(codec.Unreadable):
                event = codec.decode(record)
                if isinstance(event, e.FileStored | e.FileDeleted):
                    yield event


async def _deleted(owner: OwnerId, files: list[FileId]) -> None:
    async with opened_log(None) as journal:
        for file_id in files:
            event = e.FileDeleted(file_id=file_id, owner=owner, at=datetime.now(UTC))
            await journal.log.append(codec.encode(event, source=SOURCE))


async def _looked(text: str) -> list[Found]:
    needle = text.encode()
    if not NEEDLE_BYTES_MIN <= len(needle) <= NEEDLE_BYTES_MAX:
        raise Misused(f"A text to look for has {NEEDLE_BYTES_MIN} to {NEEDLE_BYTES_MAX} bytes.")
    found = await asyncio.to_thread(lambda: list(in_files(local_settings().home, needle)))
    try:
        async with opened_log(None) as journal:
            read = await in_log(journal.log, needle)
    except Unreachable:
        err.print("The log is not running: only its files were looked at.")
        return found
    return found + ([read] if read else [])


def _report(found: list[Found], *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.json.encode([each._asdict() for each in found]))
    else:
        for each in found:
            out.print(f"  {each.place}: {each.occurrences:,}", markup=False)
        out.print(f"Found in {amount(len(found), 'place')}." if found else "It is nowhere.", markup=False)
    if found:
        raise SystemExit(int(Exit.FAILED))
