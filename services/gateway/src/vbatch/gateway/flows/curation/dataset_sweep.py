"""Removes the lines of data sets that no event names, or whose deletion was interrupted when a gateway was killed.

It finds the existing versions in the log itself, never in the read model, which may be late or lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from vbatch.chassis.blobs import BlobTrouble
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.codec import decode
from vbatch.contracts.ids import DatasetId
from vbatch.contracts.subjects import dataset_events
from vbatch.gateway.flows.curation.datasets import DATASETS
from vbatch.gateway.ports import Dependencies
from vbatch.journal.port import Full, Unavailable

SWEEP_SECONDS = 3_600.0
BLOB_SECONDS = 2 * 3_600.0
"""Longer than it takes from the first byte of a version to its event."""
STRAYS_MAX = 64
"""A crash cannot leave more than this: if there are more, the log is a different one, and nothing is removed."""


class DatasetSweep:
    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies

    async def run(self) -> None:
        """Run until cancelled; errors of the stores are retried in the next round."""
        while True:
            try:
                await self.sweep()
            except (Unavailable, Full, BlobTrouble) as error:
                get_logger().warning("dataset_sweep_interrupted", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self, older_than_seconds: float = BLOB_SECONDS) -> int:
        """Run one round; return how many blobs were removed."""
        blobs = await self._dependencies.blobs.older_than(older_than_seconds, DATASETS, is_deep=True)
        strays = await self._strays(blobs)
        if len(strays) > STRAYS_MAX:
            get_logger().error("datasets_unknown_to_the_log", count=len(strays), example=strays[0])
            return 0
        for blob in strays:
            await self._dependencies.blobs.delete(blob)
            get_logger().info("stray_removed", blob=blob)
        return len(strays)

    async def _strays(self, blobs: Sequence[str]) -> list[str]:
        """Return the blobs that no version in the log names."""
        wanted: set[str] = set()
        for dataset_id in sorted({blob.split("/")[1] for blob in blobs}):
            wanted |= await self._wanted(DatasetId(dataset_id))
        return [blob for blob in blobs if blob not in wanted]

    async def _wanted(self, dataset_id: DatasetId) -> set[str]:
        """Return the blobs of the versions that are not deleted."""
        newest = await self._dependencies.log.last(dataset_events(dataset_id))
        blobs: dict[int, str] = {}
        if newest is None:
            return set()
        async with self._dependencies.log.tail(0, [dataset_events(dataset_id)]) as tail:
            async for records in tail:
                for record in records:
                    match decode(record):
                        case e.DatasetVersionCreated() as created:
                            blobs[created.version] = created.blob
                        case e.DatasetVersionDeleted() as deleted:
                            blobs.pop(deleted.version, None)
                if records[-1].sequence >= newest.sequence:
                    break
        return set(blobs.values())
