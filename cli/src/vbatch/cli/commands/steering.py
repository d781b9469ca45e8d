"""why, queue, pause, resume, priority: show and change a batch's place in the queue."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from vbatch.cli.api_types import Batch, Queue, Why, read
from vbatch.cli.client import Server, connect
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


def pause(batch: BatchArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Pause a batch: it starts no more requests. Its completion window keeps running."""
    _steer(lambda server: server.pause(batch), "paused: running requests finish, its window keeps running",
           url=url, api_key=api_key, as_json=as_json)  # fmt: skip


def resume(batch: BatchArgument, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """Resume a paused batch."""
    _steer(lambda server: server.resume(batch), "waiting for its turn again", url=url, api_key=api_key, as_json=as_json)


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
