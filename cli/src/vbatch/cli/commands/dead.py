"""dead: list, inspect, retry and drop messages that could not be processed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated

import msgspec
import typer

from vbatch.cli.event_format import body_of
from vbatch.cli.exits import CommandError, Refused
from vbatch.cli.open_log import NatsUrl, opened_log
from vbatch.cli.options import AsJson, err, out, print_json, print_table, run, table_of
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.message import Message
from vbatch.contracts.orders import UnreadableOrder, decode_order
from vbatch.journal.port import DeadLetter, DeadLetters, Journal, Origin, Rejected

PAGE_LETTERS = 100
REASON_CHARS_SHOWN = 100
LEASE = ".lease"
ID_HEADER = "ce-id"
RESERVED_PREFIX = "nats-"

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
                    buried = letter.original.recorded_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
                    reason = letter.reason[:REASON_CHARS_SHOWN]
                    origin = f"{letter.origin} {letter.original.sequence}"
                    table.add_row(str(letter.sequence), buried, origin, letter.original.subject, reason)
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
            return
        original = letter.original
        out.print(f"{letter.sequence}  {original.subject}  ({letter.origin} {original.sequence})", markup=False)
        out.print(f"reason: {letter.reason}\n", markup=False)
        for name, value in original.headers.items():
            out.print(f"{name}: {value}", markup=False)
        out.print("\n" + body_of(original.body, full=full), markup=False)

    run(ask())


@app.command()
def retry(sequence: Sequence, nats_url: NatsUrl = None) -> None:
    """Send the message again under a new id, if it is now valid, and drop the dead letter."""

    async def ask() -> None:
        async with opened_log(nats_url) as journal:
            letter = await _letter(journal.dead, sequence)
            stored = await _send_again(journal, letter)
            await journal.dead.drop(sequence)
        err.print(f"Sent again as {letter.origin} {stored}; the dead letter is dropped.")

    run(ask())


@app.command()
def drop(sequence: Sequence, nats_url: NatsUrl = None) -> None:
    """Drop a dead letter without sending it again."""

    async def ask() -> None:
        async with opened_log(nats_url) as journal:
            letter = await _letter(journal.dead, sequence)
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
    _must_be_of_use(letter)
    message = again(letter)
    try:
        if letter.origin is Origin.WORK:
            return await journal.work.put(message)
        return await journal.log.append(message)
    except Rejected as error:
        raise Refused(f"It cannot be sent again: {error}.") from error


def again(letter: DeadLetter) -> Message:
    """Return the original message under an id of its own."""
    original = letter.original
    message_id = f"{original.message_id or original.sequence}:retry:{letter.sequence}"
    return Message(original.subject, original.body, message_id, _headers(original.headers, message_id))


def _headers(headers: Mapping[str, str], message_id: str) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if not name.lower().startswith(RESERVED_PREFIX)}
    return kept | ({ID_HEADER: message_id} if ID_HEADER in kept else {})


def _must_be_of_use(letter: DeadLetter) -> None:
    """Raises Refused if the letter still cannot be processed."""
    if letter.original.subject.endswith(LEASE):
        raise Refused("A lease cannot be sent again: it would fence the running process. Drop the letter.")
    if letter.origin is Origin.WRITE:
        raise Refused("The log refused it and never stored it; only its beginning is here. Drop the letter.")
    try:
        if letter.origin is Origin.WORK:
            decode_order(letter.original.body)
        else:
            decode(letter.original)
    except (Unreadable, UnreadableOrder) as error:
        raise Refused(f"It still cannot be read: {error}. Keep it for a newer version, or drop it.") from error


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
