"""why, queue, pause, resume, priority: show and change a batch's place in the queue."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from vbatch.cli.api_types import Batch, Queue, Why
from vbatch.cli.client import Server
from vbatch.cli.exits import Misused
from vbatch.cli.forecast_text import batches, cells, why as sentences
from vbatch.cli.option_groups import command
from vbatch.cli.options import BatchArgument, out, print_table, table_of
from vbatch.cli.server_options import ServerOptions
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN

HEADINGS = ("place", "batch", "model", "priority", "waiting", "req/s", "starts in", "ends in", "", "waits for")

OneBatch = Annotated[str | None, typer.Argument(metavar="BATCH", help="The batch's id; or --all.")]
AllWork = Annotated[bool, typer.Option("--all", help="All work of every owner; needs an admin key.")]
Reason = Annotated[str | None, typer.Option("--reason", help="With --all: why, for everybody who looks at the queue.")]
Level = Annotated[
    int,
    typer.Argument(
        metavar="PRIORITY",
        min=PRIORITY_MIN,
        max=PRIORITY_MAX,
        help="The default is 0; every ten more count twice as much.",
    ),
]

OnlyTried = Annotated[
    bool, typer.Option("--try", help="Change nothing: list the queue as it would be with this priority.")
]


@command
def why(batch: BatchArgument, *, server: ServerOptions) -> None:
    """Explain what a batch waits for, when it ends, and what would change that."""
    server.show(server.ask(lambda gateway: gateway.why(batch)), Why, _explain)


@command
def queue(*, server: ServerOptions) -> None:
    """List your unfinished batches in the order they run."""
    server.show(server.ask(lambda gateway: gateway.queue()), Queue, _show)


@command
def pause(batch: OneBatch = None, all_work: AllWork = False, reason: Reason = None, *, server: ServerOptions) -> None:
    """Pause a batch: it starts no more requests. Its completion window keeps running. With --all: all work."""
    chosen = _one_or_all(batch, all_work=all_work)
    if chosen is not None and reason is not None:
        raise Misused("--reason goes with --all.")
    if chosen is None:
        said = "All work is paused: running requests finish, completion windows keep running."
        _steer_all(server, "pause", said, {"reason": reason} if reason else None)
    else:
        said = "paused: running requests finish, its window keeps running"
        _steer(server, lambda gateway: gateway.pause(chosen), said)


@command
def resume(batch: OneBatch = None, all_work: AllWork = False, *, server: ServerOptions) -> None:
    """Resume a paused batch. With --all: all work, except batches that are paused themselves."""
    chosen = _one_or_all(batch, all_work=all_work)
    if chosen is None:
        _steer_all(server, "resume", "All work is resumed.")
    else:
        _steer(server, lambda gateway: gateway.resume(chosen), "waiting for its turn again")


@command
def priority(batch: BatchArgument, level: Level, only_tried: OnlyTried = False, *, server: ServerOptions) -> None:
    """Change a batch's priority: requests that have not started run sooner or later."""
    if only_tried:
        server.show(server.ask(lambda gateway: gateway.what_if(batch, level)), Queue, _show)
    else:
        _steer(server, lambda gateway: gateway.prioritize(batch, level), f"now at priority {level}")


def _one_or_all(batch: str | None, *, all_work: bool) -> str | None:
    """Return the batch; None if all work is meant. Raises Misused."""
    if (batch is None) != all_work:
        raise Misused("Name a batch, or give --all.")
    return batch


def _steer_all(server: ServerOptions, verb: str, said: str, body: object = None) -> None:
    answer = server.ask(lambda gateway: gateway.ask("POST", f"/v1/admin/queue/{verb}", body))
    server.show(answer, object, lambda _answer: out.print(said))


def _steer(server: ServerOptions, steer: Callable[[Server], Awaitable[bytes]], said: str) -> None:
    server.show(server.ask(steer), Batch, lambda batch: out.print(f"{batch.id} is {said}."))


def _explain(found: Why) -> None:
    for line in sentences(found, time.time()):
        out.print(line, markup=False)


def _show(queue: Queue) -> None:
    if queue.paused_at is not None:
        _show_pause(queue.paused_at, queue.pause_reason)
    others = f"{batches(queue.others.batches)} of other owners"
    if not queue.data:
        out.print(f"You have no unfinished batches. Also in the queue: {others}.")
        return
    table, now = table_of(*HEADINGS, numbers=("place", "priority", "waiting", "req/s")), time.time()
    for entry in queue.data:
        table.add_row(*cells(entry, now))
    print_table(table)
    if queue.others.batches:
        out.print(f"Also in the queue, in the places between: {others}.")


def _show_pause(paused_at: float, reason: str | None) -> None:
    since = datetime.fromtimestamp(paused_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    why = f" ({reason})" if reason else ""
    out.print(f"All work is paused since {since}{why}. `vbatch resume --all` ends that.", markup=False)
