"""The ports of the flows, on open connections."""

from __future__ import annotations

import os

from vbatch.chassis.blobs import open_blobs
from vbatch.chassis.clock import utc_now
from vbatch.gateway.adapters.http.app_state import Monitoring
from vbatch.gateway.adapters.input_lines import InputLines
from vbatch.gateway.adapters.log_folder import log_folder
from vbatch.gateway.adapters.measured_projection import MeasuredProjection
from vbatch.gateway.adapters.service_watch import ServiceWatch
from vbatch.gateway.adapters.text_search import TextSearch
from vbatch.gateway.core.access import Access
from vbatch.gateway.ports import Dependencies
from vbatch.gateway.settings import GatewaySettings
from vbatch.gateway.wiring.connections import Connections
from vbatch.gateway.wiring.disks import disk_guard
from vbatch.gateway.wiring.services import watched_services
from vbatch.journal.archive import HistoricLog

LOGS_FOLDER = "logs"
"""The folder in the home in which the local stack keeps its logs."""


def dependencies_on(
    connections: Connections, settings: GatewaySettings, access: Access, monitoring: Monitoring
) -> Dependencies:
    log = connections.journal.log
    return Dependencies(
        log=HistoricLog(log, open_blobs(settings.archives_url)),
        reads=connections.reads,
        projection=MeasuredProjection(connections.projection, monitoring.metrics.own_write_wait),
        partial=open_blobs(settings.results_folder.as_uri()),
        blobs=connections.blobs,
        disk_guard=disk_guard(settings, log),
        forecasts=connections.forecasts,
        access=access,
        services=ServiceWatch(watched_services(settings), connections.http),
        input_lines=InputLines(connections.blobs),
        text_search=TextSearch(),
        now=utc_now,
        entropy=os.urandom,
        own_write_seconds_max=settings.own_write_seconds_max,
        batch_file_bytes_max=settings.batch_file_bytes_max,
        logs=log_folder(settings.home / LOGS_FOLDER),
    )
