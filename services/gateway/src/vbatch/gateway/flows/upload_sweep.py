"""Removes the parts of uploads that are completed, cancelled or expired. Several gateways may sweep at once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from vbatch.chassis.blobs import BlobTrouble
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.ids import UploadId
from vbatch.contracts.message import Recorded
from vbatch.contracts.subjects import UPLOAD_EVENTS
from vbatch.gateway.core.files.part_uploads import PartUpload, UploadStatus, fold
from vbatch.gateway.flows.part_uploads import upload_event
from vbatch.gateway.flows.writing import append
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Full, Rejected, Unavailable

SWEEP_SECONDS = 60.0
GRACE = timedelta(hours=1)
"""After its expiry an upload may still be in a completion that began in time."""


class UploadSweep:
    """Follows every upload in the log until its parts are removed, and then forgets it."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._sequence = 0
        self._kept: dict[UploadId, PartUpload] = {}

    async def run(self) -> None:
        """Run until cancelled; errors of the stores are retried in the next round."""
        while True:
            try:
                await self.sweep()
            except (Unavailable, Full, Rejected, BlobTrouble) as error:
                get_logger().warning("upload_sweep_interrupted", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> int:
        """Run one round; return how many uploads were cleared."""
        await self._catch_up()
        now = self._dependencies.now()
        due = [candidate for candidate in self._kept.values() if _is_over(candidate, now - GRACE)]
        for upload in due:
            for part in upload.parts.values():
                await self._dependencies.blobs.delete(part.blob)
            await append(self._dependencies, e.UploadPartsRemoved(at=now, upload_id=upload.id))
            del self._kept[upload.id]
        if due:
            get_logger().info("upload_parts_removed", uploads=len(due))
        return len(due)

    async def _catch_up(self) -> None:
        newest = await self._dependencies.log.last(UPLOAD_EVENTS)
        if newest is None or newest.sequence <= self._sequence:
            return
        async with self._dependencies.log.tail(self._sequence, [UPLOAD_EVENTS]) as tail:
            async for records in tail:
                for record in records:
                    self._take(record)
                if self._sequence >= newest.sequence:
                    break

    def _take(self, record: Recorded) -> None:
        self._sequence = record.sequence
        event = upload_event(record)
        if event is None:
            return
        upload = fold(self._kept.get(event.upload_id), event, record.sequence)
        if upload is None or upload.are_parts_removed:
            self._kept.pop(event.upload_id, None)
        else:
            self._kept[event.upload_id] = upload


def _is_over(upload: PartUpload, at: datetime) -> bool:
    return upload.status(at) is not UploadStatus.PENDING
