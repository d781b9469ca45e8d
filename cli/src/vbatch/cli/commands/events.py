"""events: the log itself, read through the journal and printed for people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from vbatch.cli.event_format import document_of, line_of, name_of, pages_of
from vbatch.cli.exits import CommandError, Misused, ending
from vbatch.cli.open_log import NatsUrl, opened_log
from vbatch.cli.options import AsJson, local_settings, out, print_json, run
from vbatch.cli.time_spec import HELP, event_at, last_before, time_spec
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import ALL_EVENTS
from vbatch.journal.archive import ArchiveDamaged, ArchiveDecoder
from vbatch.journal.port import Log
from vbatch.local.log_access import nkey_file
from vbatch.local.nats_users import READER

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new events.")]
BatchOption = Annotated[str | None, typer.Option("--batch", metavar="ID", help="Only events of this batch.")]
TypeGlob = Annotated[str, typer.Option("--type", metavar="GLOB", help="Only events with such a name: 'runner.*'.")]
After = Annotated[int, typer.Option(min=0, metavar="SEQ", help="Only events after this sequence.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help=f"Only events recorded from then on: {HELP}.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only events recorded before then.")]
Archive = Annotated[
    Path | None,
    typer.Option("--archive", metavar="FILE", dir_okay=False, exists=True, help="Read this archive, without a server."),
]
Full = Annotated[bool, typer.Option("--full", help="Show answers in full.")]
Sequence = Annotated[int, typer.Argument(min=1, metavar="SEQ", help="The event's sequence in the log.")]

ARCHIVE_PIECE_BYTES = 1 << 20

ACCESS = """\
The log speaks NATS, on this machine only: {url}
The user `reader` may follow it and replay it, and can write nothing. Its key: {key}

  nats --server {url} --nkey {key} sub 'evt.batch.*.completed'

In Python, with nats-py[nkeys]:

  client = await nats.connect("{url}", nkeys_seed="{key}")
  await client.subscribe("evt.>", cb=handle)

What the events say: docs/events.md. Over HTTP: GET /v1/batches/{{id}}/events."""

app = typer.Typer(invoke_without_command=True)


@app.callback()
def events(
    context: typer.Context,
    follow: Follow = False,
    batch: BatchOption = None,
    type: TypeGlob = "*",
    after: After = 0,
    since: Since = None,
    until: Until = None,
    archive: Archive = None,
    nats_url: NatsUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show the events in the order of the log; `events show SEQ` shows one in full."""
    if context.invoked_subcommand is not None:
        return

    async def ask() -> None:
        if archive is not None and (follow or batch):
            raise Misused("--archive holds one whole batch: it goes with neither --follow nor --batch.")
        now = datetime.now(UTC)
        first, end = (None if text is None else time_spec(text, now) for text in (since, until))
        if archive is not None:
            for record in _archived(archive, after, first, end):
                if fnmatchcase(name_of(record), type):
                    _show(record, as_json=as_json)
            return
        async with opened_log(nats_url) as journal:
            start = after if first is None else max(after, await last_before(journal.log, first))
            subject = f"evt.batch.{batch}.>" if batch else ALL_EVENTS
            async for record in _records(journal.log, subject, start, follow=follow):
                if end is not None and record.recorded_at >= end:
                    return
                if fnmatchcase(name_of(record), type):
                    _show(record, as_json=as_json)

    run(ask())


@app.command()
def access() -> None:
    """Show how another program can follow the log with a read-only key."""
    with ending():
        settings = local_settings()
        key = nkey_file(settings, READER)
        if key is None or not key.exists():
            raise CommandError("This stack's log has no keys here: start it with `vbatch up`, or ask its operator.")
        out.print(ACCESS.format(url=settings.log_url, key=key), markup=False)


@app.command()
def show(sequence: Sequence, full: Full = False, nats_url: NatsUrl = None, as_json: AsJson = False) -> None:
    """Show one event: its headers and its body."""

    async def ask() -> Recorded:
        async with opened_log(nats_url) as journal:
            record = await event_at(journal.log, sequence)
            if record is None:
                head = await journal.log.last_sequence()
                raise CommandError(f"The log has no event {sequence}; it holds 1 to {head}.")
            return record

    record = run(ask())
    if as_json:
        print_json(document_of(record))
        return
    for line in pages_of(record, full=full):
        out.print(line, markup=False)


def _archived(path: Path, after: int, first: datetime | None, end: datetime | None) -> Iterator[Recorded]:
    """Yield the records of an archive behind sequence `after`, recorded from `first` on and before `end`."""
    decoder = ArchiveDecoder()
    try:
        with path.open("rb") as file:
            while piece := file.read(ARCHIVE_PIECE_BYTES):
                for record in decoder.feed(piece):
                    if record.sequence > after and _is_between(record, first, end):
                        yield record
        decoder.end()
    except ArchiveDamaged as error:
        raise CommandError(f"{path} cannot be read as an archive: {error}.") from error


def _is_between(record: Recorded, first: datetime | None, end: datetime | None) -> bool:
    return (first is None or record.recorded_at >= first) and (end is None or record.recorded_at < end)


async def _records(log: Log, subject: str, after: int, *, follow: bool) -> AsyncIterator[Recorded]:
    """Yield what the log holds on `subject` after `after`; with `follow`, also everything that arrives later."""
    newest = await log.last(subject)
    end = newest.sequence if newest else 0
    if end <= after and not follow:
        return
    async with log.tail(after, (subject,)) as batches:
        async for records in batches:
            for record in records:
                yield record
                if record.sequence >= end and not follow:
                    return


def _show(record: Recorded, *, as_json: bool) -> None:
    if as_json:
        print_json(document_of(record))
    else:
        out.print(line_of(record), markup=False)
