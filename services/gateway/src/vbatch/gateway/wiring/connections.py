"""The connections of the gateway: to the log, to PostgreSQL, to the blob store and to the other services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

from vbatch.chassis.blobs import Blobs, open_blobs
from vbatch.gateway.adapters.notifier import notifier_pages
from vbatch.gateway.adapters.postgres import PostgresReads, open_reads
from vbatch.gateway.adapters.projection import ProjectionFeed
from vbatch.gateway.adapters.scheduler import SchedulerFeed, scheduler_feed
from vbatch.gateway.ports import Deliveries
from vbatch.gateway.settings import GatewaySettings
from vbatch.gateway.wiring.duties import beside
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.settings import JournalSettings

SERVICE = "gateway"
"""The name of this service: in logs, in metrics, and on its connection to NATS."""


@dataclass(frozen=True, slots=True)
class Connections:
    """`http` reads the state of the other services; `lane_http` carries the requests of the interactive lane."""

    journal: JetStreamJournal
    reads: PostgresReads
    projection: ProjectionFeed
    blobs: Blobs
    forecasts: SchedulerFeed
    deliveries: Deliveries
    http: aiohttp.ClientSession
    lane_http: aiohttp.ClientSession


@asynccontextmanager
async def open_connections(settings: GatewaySettings) -> AsyncIterator[Connections]:
    """Open the connections. Raises Unavailable if NATS is unreachable."""
    url = _postgres_url(settings)
    async with (
        connect(_journal_settings(settings)) as journal,
        open_reads(url) as reads,
        _following(ProjectionFeed(url)) as projection,
        scheduler_feed(settings.scheduler_url) as forecasts,
        notifier_pages(settings.notifier_url) as deliveries,
        aiohttp.ClientSession() as http,
        _lane_session() as lane_http,
    ):
        await journal.topology()
        yield Connections(
            journal=journal,
            reads=reads,
            projection=projection,
            blobs=open_blobs(settings.blob_url),
            forecasts=forecasts,
            deliveries=deliveries,
            http=http,
            lane_http=lane_http,
        )


def _postgres_url(settings: GatewaySettings) -> str:
    if settings.postgres_url is None:
        raise ValueError("the gateway needs a PostgreSQL")
    return settings.postgres_url.get_secret_value()


def _journal_settings(settings: GatewaySettings) -> JournalSettings:
    return replace(
        JournalSettings.of(settings, SERVICE),
        attempt_seconds=settings.log_seconds_max / 2,
        deadline_seconds=settings.log_seconds_max,
    )


@asynccontextmanager
async def _following(feed: ProjectionFeed) -> AsyncIterator[ProjectionFeed]:
    async with beside(feed):
        yield feed


def _lane_session() -> aiohttp.ClientSession:
    """Return the session for the states of runners, and for demands."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )
