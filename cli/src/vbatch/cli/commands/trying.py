"""try: runs a few lines of a file now and says what all of them would cost, before a batch is made of it."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import StoredFile, read
from vbatch.cli.client import Server
from vbatch.cli.commands.batches import Endpoint, InputFile, Window
from vbatch.cli.dry_run_text import DryRun, dry_run_lines
from vbatch.cli.exits import Exit
from vbatch.cli.option_groups import command
from vbatch.cli.options import out, run
from vbatch.cli.rows import RowOptions, prepared
from vbatch.cli.server_options import ServerOptions
from vbatch.contracts.dry_run import LINES_DEFAULT, LINES_MAX

ANSWER_SECONDS_MAX = 900.0
"""The model may have to be loaded first, and the longest line may have a long answer."""
PRICES = ("input_per_million", "output_per_million", "per_kwh")
"""The names that the server uses, in the order of PriceOptions."""

Lines = Annotated[int, typer.Option("-n", "--lines", min=1, max=LINES_MAX, help="Run this many lines.")]
InputPrice = Annotated[float | None, typer.Option(min=0, help="The price of a million tokens in.")]
OutputPrice = Annotated[float | None, typer.Option(min=0, help="The price of a million tokens out.")]
EnergyPrice = Annotated[float | None, typer.Option(min=0, help="The price of a kilowatt hour.")]


@dataclass(frozen=True, slots=True)
class PriceOptions:
    input_price: InputPrice = None
    output_price: OutputPrice = None
    energy_price: EnergyPrice = None

    def given(self) -> dict[str, float]:
        prices = zip(PRICES, astuple(self), strict=True)
        return {name: price for name, price in prices if price is not None}


@command
def try_file(
    file: InputFile,
    rows: RowOptions,
    lines: Lines = LINES_DEFAULT,
    endpoint: Endpoint = None,
    window: Window = "24h",
    *,
    prices: PriceOptions,
    server: ServerOptions,
) -> None:
    """Run the first, a middle and the longest line of FILE now, and estimate the cost of all. No batch is created.

    With --prompt, each row of a table becomes a line, as with `vbatch submit`.
    """
    asked = prices.given()
    trial: dict[str, object] = {"lines": lines} | ({"prices": asked} if asked else {})
    answer = run(_tried(server, file, rows, endpoint, window, trial))
    server.show(answer, DryRun, _show)
    if not read(answer, DryRun).is_fit:
        raise SystemExit(int(Exit.FAILED))


async def _tried(
    server: ServerOptions, file: Path, rows: RowOptions, endpoint: str | None, window: str, trial: object
) -> bytes:
    """Return the answer to a dry run. The uploaded file is deleted afterwards."""
    async with server.connected(silence_seconds_max=ANSWER_SECONDS_MAX) as gateway:
        with prepared(file, rows, endpoint) as made:
            uploaded = read(await gateway.send(made.filename, made.content), StoredFile)
        try:
            return await _dry_run(gateway, uploaded.id, made.endpoint, window, trial)
        finally:
            await gateway.ask("DELETE", f"/v1/files/{quote(uploaded.id, safe='')}")


def _show(found: DryRun) -> None:
    for line in dry_run_lines(found, time.time()):
        out.print(line, markup=False)


async def _dry_run(server: Server, file_id: str, endpoint: str, window: str, trial: object) -> bytes:
    body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": window, "dry_run": trial}
    return await server.ask("POST", "/v1/batches", body)
