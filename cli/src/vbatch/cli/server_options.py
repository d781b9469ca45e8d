"""The options of every command that asks a server: where it is, with which key, and whether the answer is JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeVar

from vbatch.cli.api_types import read
from vbatch.cli.client import Server, connect
from vbatch.cli.options import ApiKey, AsJson, Url, print_json, run, server_url
from vbatch.client.transport import SILENCE_SECONDS_MAX

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    url: Url = None
    api_key: ApiKey = None
    as_json: AsJson = False

    def connected(self, silence_seconds_max: float = SILENCE_SECONDS_MAX) -> AbstractAsyncContextManager[Server]:
        return connect(server_url(self.url), self.api_key, silence_seconds_max=silence_seconds_max)

    def ask(self, ask: Callable[[Server], Awaitable[T]]) -> T:
        """Connect, and return what `ask` returns. Raises the errors of `exits`."""

        async def asking() -> T:
            async with self.connected() as server:
                return await ask(server)

        return run(asking())

    def show(self, answer: bytes, kind: type[T], show: Callable[[T], None]) -> None:
        """Print the server's own document with --json, otherwise what `show` prints for it."""
        if self.as_json:
            print_json(answer)
        else:
            show(read(answer, kind))
