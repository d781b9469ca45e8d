"""manifest: what a batch ran on, so that its results can be reproduced and cited."""

from __future__ import annotations

from urllib.parse import quote

from vbatch.cli.client import connect
from vbatch.cli.commands.results import Output, report, sink
from vbatch.cli.options import ApiKey, AsJson, BatchArgument, Url, run, server_url


def manifest(
    batch: BatchArgument, output: Output = None, url: Url = None, api_key: ApiKey = None, as_json: AsJson = False
) -> None:
    """Print what made the answers of BATCH, as JSON: models, engines, settings, devices, digests of files."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.ask("GET", f"/v1/batches/{quote(batch, safe='')}/manifest") + b"\n"
        with sink(output) as file:
            file.write(answer)
        report(output, 1, len(answer), as_json=as_json)

    run(ask())
