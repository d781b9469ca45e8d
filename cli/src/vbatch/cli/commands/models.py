"""models: what a request's "model" may name."""

from __future__ import annotations

from vbatch.cli.api_types import ModelList, read
from vbatch.cli.client import connect
from vbatch.cli.options import ApiKey, AsJson, Url, out, print_json, run, server_url


def models(url: Url = None, api_key: ApiKey = None, as_json: AsJson = False) -> None:
    """List the models this server runs."""

    async def ask() -> None:
        async with connect(server_url(url), api_key) as server:
            answer = await server.models()
        if as_json:
            print_json(answer)
            return
        for model in read(answer, ModelList).data:
            out.print(model.id, markup=False)

    run(ask())
