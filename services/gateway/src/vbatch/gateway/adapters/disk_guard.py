"""Measures the free space: on the disks of the blobs and of the log, and under the log's own limit."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from vbatch.chassis.disk_use import REFUSE_SHARE, DiskAllowance
from vbatch.gateway.core.disk_guard import Space, Watermark, check_space
from vbatch.journal.port import Log

HOME_WATERMARK = Watermark(0, 1 - REFUSE_SHARE)
BELIEVED_SECONDS = 1.0
"""How long one measurement is used; what is written in that time is small compared with a sensible watermark."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder to measure, or its closest existing parent while it does not exist yet."""

    name: str
    folder: Path
    is_for_uploads: bool = False

    def space(self) -> Space:
        usage = shutil.disk_usage(next(path for path in (self.folder, *self.folder.parents) if path.exists()))
        place = f"The disk of the {self.name} ({self.folder})"
        return Space(place, usage.free, usage.total, is_for_uploads=self.is_for_uploads)


@dataclass(frozen=True, slots=True)
class HomeLimit:
    """How much of its limit the home of this server holds."""

    allowance: DiskAllowance
    name: str = "home"

    def space(self) -> Space:
        used, limit = self.allowance.used(), self.allowance.bytes_max
        place = f"The home of this server ({self.allowance.folder}, limited by VBATCH_DISK_BYTES_MAX)"
        return Space(place, max(0, limit - used), limit, is_for_uploads=True)


@dataclass(slots=True)
class MeasuredDiskGuard:
    """The disks share one watermark; the limits of the log and of the home have watermarks of their own."""

    disks: Sequence[Disk]
    disk_watermark: Watermark
    log: Log
    log_watermark: Watermark
    home: HomeLimit | None = None
    _spaces: Sequence[tuple[Space, Watermark]] = ()
    _measured_at: float = field(default=-BELIEVED_SECONDS)

    async def check(self, upload_bytes: int = 0) -> None:
        if monotonic() - self._measured_at >= BELIEVED_SECONDS:
            self._spaces = await self._measure()
            self._measured_at = monotonic()
        check_space(self._spaces, upload_bytes)

    async def _measure(self) -> Sequence[tuple[Space, Watermark]]:
        fill = await self.log.fill()
        log = Space("The event log", fill.bytes_max - fill.bytes, fill.bytes_max)
        disks, homes = await asyncio.to_thread(self._measured)
        return [
            (log, self.log_watermark),
            *((disk, self.disk_watermark) for disk in disks),
            *((home, HOME_WATERMARK) for home in homes),
        ]

    def _measured(self) -> tuple[list[Space], list[Space]]:
        return [disk.space() for disk in self.disks], [self.home.space()] if self.home else []
