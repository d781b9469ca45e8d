"""events: the log itself, read through the journal and told the way a person reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
import typer

from vbatch.cli.exits import Unreachable
from vbatch.cli.options import AsJson, local_settings, out, print_json, run
from vbatch.cli.telling import tell
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import ALL_EVENTS
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Log, Unavailable
from vbatch.journal.settings import JournalSettings

NATS_SECONDS = 3.0

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as events happen.")]
BatchOption = Annotated[str | None, typer.Option("--batch", metavar="ID", help="Only this batch's.")]
TypeGlob = Annotated[str, typer.Option("--type", metavar="GLOB", help="Only names like this, such as 'runner.*'.")]
After = Annotated[int, typer.Option(min=0, metavar="SEQ", help="Only what follows this sequence.")]
NatsUrl = Annotated[str | None, typer.Option("--nats-url", envvar="VBATCH_NATS_URL", help="Where the log is.")]


def events(
    follow: Follow = False,
    batch: BatchOption = None,
    type: TypeGlob = "*",
    after: After = 0,
    nats_url: NatsUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened, in the order of the log."""

    async def ask() -> None:
        subject = f"evt.batch.{batch}.>" if batch else ALL_EVENTS
        url = nats_url or local_settings().log_url
        try:
            async with connect(JournalSettings(url=url, name="cli", connect_seconds=NATS_SECONDS)) as journal:
                async for record in _records(journal.log, subject, after, follow=follow):
                    if fnmatchcase(name_of(record), type):
                        _show(record, as_json=as_json)
        except Unavailable as error:
            raise Unreachable(f"The log at {url} cannot be read ({error}). Start it with `vbatch up`.") from error

    run(ask())


def name_of(record: Recorded) -> str:
    """`batch.created` of `evt.batch.batch_….created`."""
    parts = record.subject.split(".")
    return f"{parts[1]}.{parts[-1]}"


def line_of(record: Recorded) -> str:
    """Time, sequence, name, whose, and a sentence."""
    time = record.recorded_at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    whose = record.subject.split(".")[2]
    try:
        sentence = tell(decode(record))
    except Unreadable as error:
        sentence = f"cannot be read: {error}"
    return f"{time}  {record.sequence:>7}  {name_of(record):<24} {whose}  {sentence}"


def document_of(record: Recorded) -> bytes:
    """The record as one JSON object: its place in the log, its CloudEvents headers, its body untouched."""
    return msgspec.json.encode(
        {
            "sequence": record.sequence,
            "recorded_at": record.recorded_at,
            "name": name_of(record),
            "subject": record.subject,
            "headers": dict(record.headers),
            "body": msgspec.Raw(record.body),
        }
    )


async def _records(log: Log, subject: str, after: int, *, follow: bool) -> AsyncIterator[Recorded]:
    """What the log held on `subject` behind `after` when asked; with `follow`, all that comes too."""
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
