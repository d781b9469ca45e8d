"""The disks that new work fills, and how full they may become."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from vbatch.chassis.disk_use import allowance_of
from vbatch.gateway.adapters.disk_guard import Disk, HomeLimit, MeasuredDiskGuard
from vbatch.gateway.core.disk_guard import Watermark
from vbatch.gateway.settings import GatewaySettings
from vbatch.journal.port import Log


def disk_guard(settings: GatewaySettings, log: Log) -> MeasuredDiskGuard:
    disk_watermark = Watermark(settings.disk_free_bytes_min, settings.disk_free_share_min)
    log_watermark = Watermark(0, settings.log_free_share_min)
    return MeasuredDiskGuard(disks(settings), disk_watermark, log, log_watermark, home_limit(settings))


def home_limit(settings: GatewaySettings) -> HomeLimit | None:
    allowance = allowance_of(settings.home, settings.disk_bytes_max)
    return HomeLimit(allowance) if allowance else None


def disks(settings: GatewaySettings) -> list[Disk]:
    """Return the disks of this machine; a place that is not on one of them has a limit of its own, or none."""
    files = urlsplit(settings.blob_url)
    found = [Disk("files", Path(unquote(files.path)), is_for_uploads=True)] if files.scheme == "file" else []
    return found + ([Disk("event log", settings.log_folder)] if settings.log_folder else [])


def measured_places(settings: GatewaySettings) -> list[Disk | HomeLimit]:
    limit = home_limit(settings)
    return [*disks(settings), *([limit] if limit else [])]
