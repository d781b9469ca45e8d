"""The other services whose health and settings the gateway reports."""

from __future__ import annotations

from vbatch.gateway.adapters.service_watch import WatchedService
from vbatch.gateway.settings import GatewaySettings


def watched_services(settings: GatewaySettings) -> list[WatchedService]:
    runners = [WatchedService("gpu-runner", url) for url in settings.gpu_runner_urls.split()]
    labelers = [WatchedService("labeler", settings.labeler_url)] if settings.labeler_url else []
    return [
        WatchedService("scheduler", settings.scheduler_url),
        *runners,
        WatchedService("results", settings.results_url),
        WatchedService("notifier", settings.notifier_url),
        *labelers,
    ]
