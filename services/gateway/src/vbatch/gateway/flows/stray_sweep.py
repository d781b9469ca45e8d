"""Removes bytes that no event names because a gateway was killed between the last byte of an upload and its event.

It looks files up in the log itself, never in the read model, which may be late or lost.
"""

from __future__ import annotations

import asyncio

from vbatch.chassis.blobs import BlobTrouble
from vbatch.chassis.logs import get_logger
from vbatch.contracts.ids import FileId
from vbatch.contracts.subjects import file_events
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Full, Unavailable

SWEEP_SECONDS = 3_600.0
FILE_SECONDS = 2 * 3_600.0
"""Longer than a form may take, with the event after it."""
PART_SECONDS = 3 * 3_600.0
"""An upload lives for an hour, its parts an hour longer: older parts belong to no upload."""
STRAYS_MAX = 64
"""A crash cannot leave more than this: if there are more, the log is a different one, and nothing is removed."""


class StraySweep:
    """Checks each known file once while the process runs, because what is in the log stays there."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._known: set[str] = set()

    async def run(self) -> None:
        """Run until cancelled; errors of the stores are retried in the next round."""
        while True:
            try:
                await self.sweep()
            except (Unavailable, Full, BlobTrouble) as error:
                get_logger().warning("stray_sweep_interrupted", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Run one round; return how many blobs were removed."""
        strays = await self._stray_files()
        if len(strays) > STRAYS_MAX:
            get_logger().error("files_unknown_to_the_log", count=len(strays), example=strays[0])
            strays = []
        strays += await self._dependencies.blobs.older_than(PART_SECONDS, "parts")
        for blob in strays:
            await self._dependencies.blobs.delete(blob)
            get_logger().info("stray_removed", blob=blob)
        return len(strays)

    async def _stray_files(self) -> list[str]:
        """Return the files that no event names; at most one more than may be removed."""
        strays: list[str] = []
        for blob in await self._dependencies.blobs.older_than(FILE_SECONDS, "files"):
            if blob not in self._known and len(strays) <= STRAYS_MAX:
                if await self._is_known(blob):
                    self._known.add(blob)
                else:
                    strays.append(blob)
        return strays

    async def _is_known(self, blob: str) -> bool:
        return await self._dependencies.log.last(file_events(FileId(blob.rpartition("/")[2]))) is not None
