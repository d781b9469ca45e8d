"""try: runs a few lines of a file now and says what all of them would cost, before a batch is made of it."""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import quote

import typer

from vbatch.cli.api_types import StoredFile, read
from vbatch.cli.client import Server, connect
from vbatch.cli.commands.batches import Endpoint, InputFile, Window
from vbatch.cli.dry_run_text import DryRun, dry_run_lines
from vbatch.cli.exits import Exit
from vbatch.cli.options import ApiKey, AsJson, Url, out, print_json, run, server_url
from vbatch.cli.rows import (
    IdColumn,
    MaxTokens,
    Model,
    Param,
    Prompt,
    RowOptions,
    Split,
    System,
    TableFormat,
    prepared,
)
from vbatch.contracts.dry_run import LINES_DEFAULT, LINES_MAX

ANSWER_SECONDS_MAX = 900.0
"""The model may have to be loaded first, and the longest line may have a long answer."""

Lines = Annotated[int, typer.Option("-n", "--lines", min=1, max=LINES_MAX, help="Run this many lines.")]
InputPrice = Annotated[float | None, typer.Option(min=0, help="The price of a million tokens in.")]
OutputPrice = Annotated[float | None, typer.Option(min=0, help="The price of a million tokens out.")]
EnergyPrice = Annotated[float | None, typer.Option(min=0, help="The price of a kilowatt hour.")]


def try_file(
    file: InputFile,
    prompt: Prompt = None,
    system: System = None,
    model: Model = None,
    id_column: IdColumn = None,
    max_tokens: MaxTokens = None,
    param: Param = None,
    format: TableFormat = None,
    split: Split = None,
    lines: Lines = LINES_DEFAULT,
    endpoint: Endpoint = None,
    window: Window = "24h",
    input_price: InputPrice = None,
    output_price: OutputPrice = None,
    energy_price: EnergyPrice = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: AsJson = False,
) -> None:
    """Run the first, a middle and the longest line of FILE now, and estimate the cost of all. No batch is created.

    With --prompt, each row of a table becomes a line, as with `vbatch submit`.
    """
    rows = RowOptions(
        prompt=prompt,
        system=system,
        model=model,
        id_column=id_column,
        max_tokens=max_tokens,
        params=param or [],
        format=format,
        split=split,
    )
    given = {"input_per_million": input_price, "output_per_million": output_price, "per_kwh": energy_price}
    prices = {name: price for name, price in given.items() if price is not None}

    async def ask() -> None:
        async with connect(server_url(url), api_key, silence_seconds_max=ANSWER_SECONDS_MAX) as server:
            with prepared(file, rows, endpoint) as made:
                uploaded = read(await server.send(made.filename, made.content), StoredFile)
            try:
                trial = {"lines": lines} | ({"prices": prices} if prices else {})
                answer = await _dry_run(server, uploaded.id, made.endpoint, window, trial)
            finally:
                await server.ask("DELETE", f"/v1/files/{quote(uploaded.id, safe='')}")
        found = read(answer, DryRun)
        if as_json:
            print_json(answer)
        else:
            for line in dry_run_lines(found, time.time()):
                out.print(line, markup=False)
        if not found.is_fit:
            raise SystemExit(int(Exit.FAILED))

    run(ask())


async def _dry_run(server: Server, file_id: str, endpoint: str, window: str, trial: object) -> bytes:
    body = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": window, "dry_run": trial}
    return await server.ask("POST", "/v1/batches", body)
