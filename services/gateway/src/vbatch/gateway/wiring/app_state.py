"""Everything that the routes find, named in one place."""

from __future__ import annotations

from vbatch.gateway.adapters.http.app_state import AppState
from vbatch.gateway.adapters.http.request_middleware import BodyTimeouts
from vbatch.gateway.adapters.sse import OpenStreams
from vbatch.gateway.core.access import Access
from vbatch.gateway.core.admission import Admission
from vbatch.gateway.core.rate_limits import KeyLimits
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.event_log import Ownership
from vbatch.gateway.flows.model_feed import ModelFeed
from vbatch.gateway.flows.model_loads import ModelLoads
from vbatch.gateway.flows.runner_drains import RunnerSteering
from vbatch.gateway.settings import Configuration
from vbatch.gateway.wiring import capabilities
from vbatch.gateway.wiring.connections import Connections
from vbatch.gateway.wiring.dependencies import dependencies_on


async def build_app_state(configuration: Configuration, connections: Connections, models: ModelFeed) -> AppState:
    settings, log = configuration.settings, connections.journal.log
    access = Access(configuration.keys, is_local=settings.is_local)
    feed = AccessFeed(log, access)
    monitoring = capabilities.monitoring(connections, settings, access)
    dependencies = dependencies_on(connections, settings, access, monitoring)
    return AppState(
        dependencies=dependencies,
        monitoring=monitoring,
        access=access,
        feed=feed,
        admission=Admission(access),
        limits=KeyLimits(access, settings.pinned_limits),
        last_used={},
        streams=OpenStreams(settings.event_streams_max),
        heartbeat_seconds=settings.heartbeat_seconds,
        body_timeouts=BodyTimeouts(settings.body_silence_seconds_max, settings.body_seconds_max),
        dry_runs=connections.forecasts,
        ownership=Ownership(),
        model_loads=ModelLoads(log),
        interactive=await capabilities.interactive_lane(connections, settings, models, monitoring.registry),
        webhooks=capabilities.webhooks(connections, settings, dependencies, feed),
        webhooks_may_be_private=settings.webhooks_allow_private,
        curation=capabilities.curation(connections, dependencies),
        administration=capabilities.administration(connections, settings, dependencies, feed),
        runners=RunnerSteering(dependencies, feed),
        own_settings=capabilities.own_settings(settings),
        has_open_pages=settings.has_open_pages,
    )
