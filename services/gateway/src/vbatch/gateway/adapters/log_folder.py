"""The log files of the stack on this machine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from vbatch.chassis.log_files import Gathered, LinesWanted, lines_about, newest_lines
from vbatch.contracts.ids import BatchId
from vbatch.gateway.core.log_lines import ServiceLine, ServiceLines
from vbatch.gateway.core.service_logs import ServiceLogsParams


@dataclass(frozen=True, slots=True)
class LogFolder:
    """Implements ports.Logs. Only one call reads at a time, because each reads up to a quarter of a gigabyte."""

    folder: Path
    _turn: asyncio.Lock

    async def about(self, batch_id: BatchId, limit: int) -> ServiceLines:
        async with self._turn:
            return _told(await asyncio.to_thread(lines_about, self.folder, batch_id, lines_max=limit))

    async def newest(self, params: ServiceLogsParams) -> ServiceLines:
        wanted = LinesWanted(params.service, params.level, params.text, params.without)
        async with self._turn:
            return _told(await asyncio.to_thread(newest_lines, self.folder, wanted, lines_max=params.limit))


def _told(found: Gathered) -> ServiceLines:
    lines = [ServiceLine(each.time, each.service, each.level, each.event, each.details) for each in found.lines]
    return ServiceLines(lines, found.has_more)


def log_folder(folder: Path) -> LogFolder | None:
    """Return the log folder; None if the services log elsewhere, as containers do: then the folder is empty or
    missing."""
    return LogFolder(folder, asyncio.Lock()) if any(folder.glob("*.log")) else None
