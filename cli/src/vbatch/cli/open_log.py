"""Opens the event log of the stack on this machine for one command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated

import typer

from vbatch.chassis.blobs import BlobTrouble, open_blobs
from vbatch.cli.exits import Unreachable
from vbatch.cli.options import local_settings
from vbatch.journal.archive import HistoricJournal
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal, Unavailable
from vbatch.local.log_access import log_settings

NATS_SECONDS = 3.0

NatsUrl = Annotated[
    str | None, typer.Option("--nats-url", envvar="VBATCH_NATS_URL", help="The NATS server of the event log.")
]


@asynccontextmanager
async def opened_log(nats_url: str | None) -> AsyncIterator[Journal]:
    """Open the log with its archives. Raises Unreachable, also if the connection or a blob store is lost later."""
    stack = local_settings()
    settings = replace(log_settings(stack, "cli"), connect_seconds=NATS_SECONDS)
    settings = replace(settings, url=nats_url or settings.url)
    try:
        async with connect(settings) as journal:
            yield HistoricJournal(journal, open_blobs(stack.archives_url))
    except BlobTrouble as error:
        raise Unreachable(f"An archive in {stack.archives_url} cannot be read: {error}.") from error
    except Unavailable as error:
        raise Unreachable(f"The log at {settings.url} cannot be read ({error}). Start it with `vbatch up`.") from error
