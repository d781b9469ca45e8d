"""The capabilities of the gateway, each built by a function of its own on the same dependencies."""

from __future__ import annotations

import asyncio
from functools import partial

from prometheus_client import CollectorRegistry

from vbatch.chassis.clock import utc_now
from vbatch.chassis.metrics import service_registry
from vbatch.chassis.readings import Readings, readiness_reading
from vbatch.chassis.reported_settings import reported_settings
from vbatch.chassis.sealed import SealedFolder
from vbatch.chassis.shared_token import provided_token
from vbatch.gateway.adapters.curation_reads import PostgresCurationReads
from vbatch.gateway.adapters.demands import SchedulerDemands
from vbatch.gateway.adapters.http.app_state import Curation, InteractiveLane, Monitoring, OwnSettings
from vbatch.gateway.adapters.http.request_metrics import RequestMetrics
from vbatch.gateway.adapters.interactive_metrics import InteractiveMetrics
from vbatch.gateway.adapters.key_metrics import key_reading
from vbatch.gateway.adapters.known_secrets import known_secrets
from vbatch.gateway.adapters.lanes import RunnerLanes
from vbatch.gateway.adapters.readiness import gateway_readiness
from vbatch.gateway.adapters.settings_watch import SettingsWatch
from vbatch.gateway.adapters.storage_metrics import storage_reading
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.rate_limits import RateLimit
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.administration import Administration
from vbatch.gateway.flows.curation.datasets import Datasets
from vbatch.gateway.flows.curation.evaluations import Evaluations
from vbatch.gateway.flows.curation.judgements import Judgements
from vbatch.gateway.flows.curation.labelings import Labelings
from vbatch.gateway.flows.interactive import Interactive
from vbatch.gateway.flows.model_feed import ModelFeed
from vbatch.gateway.flows.webhooks import Webhooks
from vbatch.gateway.ports import Dependencies
from vbatch.gateway.settings import GatewaySettings
from vbatch.gateway.wiring.connections import SERVICE, Connections
from vbatch.gateway.wiring.disks import measured_places
from vbatch.gateway.wiring.services import watched_services


def monitoring(connections: Connections, settings: GatewaySettings, access: Access) -> Monitoring:
    registry = service_registry(SERVICE)
    readiness = gateway_readiness(connections.journal, connections.reads, connections.blobs)
    readings = {
        "ready": readiness_reading(readiness),
        "storage": storage_reading(measured_places(settings)),
        "keys": key_reading(access, utc_now),
    }
    return Monitoring(readiness, registry, RequestMetrics(registry), Readings(registry, readings))


def webhooks(
    connections: Connections, settings: GatewaySettings, dependencies: Dependencies, feed: AccessFeed
) -> Webhooks:
    return Webhooks(dependencies, feed, SealedFolder(settings.webhook_secrets_folder), connections.deliveries)


def curation(connections: Connections, dependencies: Dependencies) -> Curation:
    reads = PostgresCurationReads(connections.reads)
    return Curation(
        Judgements(dependencies, reads),
        Datasets(dependencies, reads),
        Labelings(dependencies, reads),
        Evaluations(dependencies, reads),
    )


async def interactive_lane(
    connections: Connections, settings: GatewaySettings, models: ModelFeed, registry: CollectorRegistry
) -> InteractiveLane:
    """Read the token that the runners share, and create it at the first start."""
    token, http = await asyncio.to_thread(provided_token, settings.lane_token_path), connections.lane_http
    lanes = RunnerLanes(settings.gpu_runner_urls.split(), token, http, settings.interactive_seconds_max)
    demands = SchedulerDemands(settings.scheduler_url, token, http)
    requests = Interactive(lanes, demands, models.models, settings.interactive_wait_seconds)
    return InteractiveLane(requests, InteractiveMetrics(registry), RateLimit(settings.interactive_per_minute_max))


def administration(
    connections: Connections, settings: GatewaySettings, dependencies: Dependencies, feed: AccessFeed
) -> Administration:
    reports = SettingsWatch(watched_services(settings), connections.http)
    return Administration(dependencies, feed, connections.journal.dead, reports)


def own_settings(settings: GatewaySettings) -> OwnSettings:
    return OwnSettings(reported_settings(settings), partial(known_secrets, settings))
