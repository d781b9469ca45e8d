"""why, queue, pause, resume, priority: show and change a batch's place in the queue."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from vbatch.cli.api_types import Batch, Queue, Why, read
from vbatch.cli.client import Server, connect
from vbatch.cli.exits import Misused, ending
from vbatch.cli.forecast_text import batches, cells, why as sentences
from vbatch.cli.options import (
    ApiKey,
    AsJson,
    BatchArgument,
    Url,
    out,
    print_json,
    print_table,
    run,
    server_url,
    table_of,
)
from vbatch.contracts.lifecycle import PRIORITY_MAX, PRIORITY_MIN

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


def why(batch: BatchArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Explain what a batch waits for, when it ends, and what would change that."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.why(batch)
        if as_json:
            print_json(answer)
            return
        for line in sentences(read(answer, Why), time.time()):
            out.print(line, markup=False)

    run(ask())


def queue(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List your unfinished batches in the order they run."""
    _queue(lambda server: server.queue(), url=url, api_key=api_key, as_json=as_json)


def pause(
    batch: OneBatch = None,
    all_work: AllWork = False,
    reason: Reason = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Pause a batch: it starts no more requests. Its completion window keeps running. With --all: all work."""
    with ending():
        chosen = _one_or_all(batch, all_work=all_work)
        if chosen is not None and reason is not None:
            raise Misused("--reason goes with --all.")
    if chosen is None:
        said = "All work is paused: running requests finish, completion windows keep running."
        body = {"reason": reason} if reason else None
        _steer_all("pause", said, body, url=url, api_key=api_key, as_json=as_json)
    else:
        said = "paused: running requests finish, its window keeps running"
        _steer(lambda server: server.pause(chosen), said, url=url, api_key=api_key, as_json=as_json)


def resume(
    batch: OneBatch = None, all_work: AllWork = False, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Resume a paused batch. With --all: all work, except batches that are paused themselves."""
    with ending():
        chosen = _one_or_all(batch, all_work=all_work)
    if chosen is None:
        _steer_all("resume", "All work is resumed.", None, url=url, api_key=api_key, as_json=as_json)
    else:
        said = "waiting for its turn again"
        _steer(lambda server: server.resume(chosen), said, url=url, api_key=api_key, as_json=as_json)


def priority(
    batch: BatchArgument,
    level: Level,
    only_tried: OnlyTried = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Change a batch's priority: what has not started runs sooner or later."""
    if only_tried:
        _queue(lambda server: server.what_if(batch, level), url=url, api_key=api_key, as_json=as_json)
        return
    said = f"now at priority {level}"
    _steer(lambda server: server.prioritize(batch, level), said, url=url, api_key=api_key, as_json=as_json)


def _one_or_all(batch: str | None, *, all_work: bool) -> str | None:
    """The batch; None where all work is meant. Raises Misused."""
    if (batch is None) != all_work:
        raise Misused("Name a batch, or give --all.")
    return batch


def _steer_all(verb: str, said: str, body: object, *, url: str | None, api_key: str | None, as_json: bool) -> None:
    async def steer() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("POST", f"/v1/admin/queue/{verb}", body)
        if as_json:
            print_json(answer)
        else:
            out.print(said)

    run(steer())


def _steer(
    ask: Callable[[Server], Awaitable[bytes]], said: str, *, url: str | None, api_key: str | None, as_json: bool
) -> None:
    async def steer() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await ask(server)
        if as_json:
            print_json(answer)
        else:
            out.print(f"{read(answer, Batch).id} is {said}.")

    run(steer())


def _queue(ask: Callable[[Server], Awaitable[bytes]], *, url: str | None, api_key: str | None, as_json: bool) -> None:
    async def show() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await ask(server)
        if as_json:
            print_json(answer)
        else:
            _show(read(answer, Queue), time.time())

    run(show())


def _show(queue: Queue, now: float) -> None:
    if queue.paused_at is not None:
        since = datetime.fromtimestamp(queue.paused_at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        why = f" ({queue.pause_reason})" if queue.pause_reason else ""
        out.print(f"All work is paused since {since}{why}. `vbatch resume --all` ends that.", markup=False)
    others = f"{batches(queue.others.batches)} of other owners"
    if not queue.data:
        out.print(f"You have no unfinished batches. Also in the queue: {others}.")
        return
    headings = ("place", "batch", "model", "priority", "waiting", "req/s", "starts in", "ends in", "", "waits for")
    table = table_of(*headings, numbers=("place", "priority", "waiting", "req/s"))
    for entry in queue.data:
        table.add_row(*cells(entry, now))
    print_table(table)
    if queue.others.batches:
        out.print(f"Also in the queue, in the places between: {others}.")
