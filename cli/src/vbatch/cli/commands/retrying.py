"""retry: run requests of an ended batch again, without uploading them again."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import Batch, read
from vbatch.cli.client import Server
from vbatch.cli.commands.batches import WaitOptions, to_the_end
from vbatch.cli.exits import Misused
from vbatch.cli.option_groups import command
from vbatch.cli.options import BatchArgument, err, out, print_json
from vbatch.cli.server_options import ServerOptions


class Select(StrEnum):
    """What became of a request."""

    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


Selected = Annotated[
    list[Select] | None,
    typer.Option("--select", help="Only requests that ended so; may be repeated. By default all without an answer."),
]
CustomIds = Annotated[
    list[str] | None, typer.Option("--custom-id", help="Only this request, whatever became of it; may be repeated.")
]
CustomIdFile = Annotated[
    Path | None,
    typer.Option("--custom-ids", metavar="FILE", help="Only the requests in this file, one custom_id a line."),
]
Window = Annotated[str | None, typer.Option(help="The completion window; by default that of BATCH.")]


@command
def retry(
    batch: BatchArgument,
    select: Selected = None,
    custom_id: CustomIds = None,
    custom_ids: CustomIdFile = None,
    window: Window = None,
    *,
    waiting: WaitOptions,
    server: ServerOptions,
) -> None:
    """Run the requests of BATCH that have no answer again, as a new batch."""
    body = _body(select or [], [*(custom_id or []), *_lines(custom_ids)], window)
    server.ask(partial(_retried, batch, body, waiting, as_json=server.as_json))


async def _retried(batch: str, body: object, waiting: WaitOptions, gateway: Server, *, as_json: bool) -> None:
    answer = await gateway.ask("POST", f"/v1/batches/{quote(batch, safe='')}/retry", body)
    created = read(answer, Batch)
    if as_json and not waiting.watch:
        print_json(answer)
    elif not as_json:
        out.print(created.id)
        err.print(f"All answers together: vbatch results {batch} --merged", markup=False)
    if waiting.is_asked_for:
        await to_the_end(gateway, created.id, is_shown=waiting.watch, as_json=as_json)


def _body(select: list[Select], custom_ids: list[str], window: str | None) -> dict[str, object]:
    """Return the body of the request. Raises Misused for two ways to select at once."""
    if select and custom_ids:
        raise Misused("Give --select, or the custom_ids, not both.")
    body = {"select": [*dict.fromkeys(select)], "custom_ids": custom_ids, "completion_window": window}
    return {name: value for name, value in body.items() if value}


def _lines(path: Path | None) -> list[str]:
    """Return the custom_ids of a file. Raises Misused if it cannot be read, or holds none."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"{path} cannot be read: {error}.") from error
    custom_ids = [line for line in lines if line]
    if not custom_ids:
        raise Misused(f"{path} holds no custom_id.")
    return custom_ids
