"""dead: list, inspect, retry and drop messages that could not be processed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from vbatch.cli.event_format import body_of
from vbatch.cli.exits import CommandError, Refused
from vbatch.cli.open_log import NatsUrl, opened_log
from vbatch.cli.options import AsJson, err, out, print_json, print_table, run, table_of
from vbatch.contracts import events as e
from vbatch.contracts.codec import encode
from vbatch.journal.port import DeadLetter, DeadLetters, Journal, Origin, Rejected
from vbatch.journal.resending import again, fault_of

PAGE_LETTERS = 100
REASON_CHARS_SHOWN = 100
OPERATOR = "operator"

Sequence = Annotated[int, typer.Argument(min=1, metavar="SEQ", help="The dead letter's number, from `dead list`.")]
Full = Annotated[bool, typer.Option("--full", help="Show answers in full.")]

app = typer.Typer(help="Messages that could not be processed: list, show, retry, drop.", no_args_is_help=True)


@app.command("list")
def list_letters(nats_url: NatsUrl = None, as_json: AsJson = False) -> None:
    """List all dead letters, oldest first."""

    async def ask() -> None:
        table = table_of("seq", "buried", "from", "message", "reason", numbers=("seq",))
        async with opened_log(nats_url) as journal:
            async for letter in _letters(journal.dead):
                if as_json:
                    print_json(_document(letter))
                else:
                    table.add_row(*_cells(letter))
        if not as_json:
            print_table(table)

    run(ask())


@app.command()
def show(sequence: Sequence, full: Full = False, nats_url: NatsUrl = None, as_json: AsJson = False) -> None:
    """Show one dead letter: why it failed, its headers and its body."""

    async def ask() -> None:
        async with opened_log(nats_url) as journal:
            letter = await _letter(journal.dead, sequence)
        if as_json:
            print_json(_document(letter))
        else:
            _show(letter, full=full)

    run(ask())


@app.command()
def retry(sequence: Sequence, nats_url: NatsUrl = None) -> None:
    """Send the message again under a new id, if it is now valid, and drop the dead letter."""

    async def ask() -> None:
        async with opened_log(nats_url) as journal:
            letter = await _letter(journal.dead, sequence)
            stored = await _send_again(journal, letter)
            await _record(journal, e.DeadLetterRetried, letter)
            await journal.dead.drop(sequence)
        err.print(f"Sent again as {letter.origin} {stored}; the dead letter is dropped.")

    run(ask())


@app.command()
def drop(sequence: Sequence, nats_url: NatsUrl = None) -> None:
    """Drop a dead letter without sending it again."""

    async def ask() -> None:
        async with opened_log(nats_url) as journal:
            letter = await _letter(journal.dead, sequence)
            await _record(journal, e.DeadLetterDropped, letter)
            await journal.dead.drop(letter.sequence)
        err.print(f"Dropped {letter.original.subject}.")

    run(ask())


async def _letters(dead: DeadLetters) -> AsyncIterator[DeadLetter]:
    after = 0
    while page := await dead.list(after, PAGE_LETTERS):
        for letter in page:
            yield letter
        after = page[-1].sequence


async def _letter(dead: DeadLetters, sequence: int) -> DeadLetter:
    letter = await dead.get(sequence)
    if letter is None:
        raise CommandError(f"There is no dead letter {sequence}; `vbatch dead list` lists them.")
    return letter


async def _send_again(journal: Journal, letter: DeadLetter) -> int:
    """Send the letter again. A second call stores nothing more: the message id follows from the letter."""
    if fault := fault_of(letter):
        raise Refused(fault)
    message = again(letter)
    try:
        if letter.origin is Origin.WORK:
            return await journal.work.put(message)
        return await journal.log.append(message)
    except Rejected as error:
        raise Refused(f"It cannot be sent again: {error}.") from error


async def _record(journal: Journal, kind: type[e.DeadLetterRetried | e.DeadLetterDropped], letter: DeadLetter) -> None:
    """Record the decision for the audit."""
    event = kind(at=datetime.now(UTC), letter=letter.sequence, subject=letter.original.subject, by=OPERATOR)
    await journal.log.append(encode(event, source=OPERATOR))


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    buried = letter.original.recorded_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    origin = f"{letter.origin} {letter.original.sequence}"
    return str(letter.sequence), buried, origin, letter.original.subject, letter.reason[:REASON_CHARS_SHOWN]


def _document(letter: DeadLetter) -> bytes:
    original = letter.original
    return msgspec.json.encode(
        {
            "sequence": letter.sequence,
            "reason": letter.reason,
            "origin": letter.origin,
            "original_sequence": original.sequence,
            "buried_at": original.recorded_at,
            "subject": original.subject,
            "headers": dict(original.headers),
            "body": original.body.decode(errors="backslashreplace"),
        }
    )


def _show(letter: DeadLetter, *, full: bool) -> None:
    original = letter.original
    out.print(f"{letter.sequence}  {original.subject}  ({letter.origin} {original.sequence})", markup=False)
    out.print(f"reason: {letter.reason}\n", markup=False)
    for name, value in original.headers.items():
        out.print(f"{name}: {value}", markup=False)
    out.print("\n" + body_of(original.body, full=full), markup=False)
