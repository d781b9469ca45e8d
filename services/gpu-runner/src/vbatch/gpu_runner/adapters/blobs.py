"""Input files and large answers in the blob store, with its trouble in the runner's words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from vbatch.chassis.blobs import Blobs, BlobTrouble
from vbatch.contracts.orders import RequestRef
from vbatch.gpu_runner.ports import InputUnreadable

TRIES_MAX = 5
PAUSE_SECONDS = 0.2


class BlobFiles:
    """Trouble that may pass is tried again, with pauses that double."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def read(self, blob: str, requests: Sequence[RequestRef]) -> list[bytes]:
        ranges = [(request.offset, request.length) for request in requests]
        for attempt in range(1, TRIES_MAX + 1):
            try:
                return await self._blobs.read_ranges(blob, ranges)
            except BlobTrouble as error:
                if not error.can_retry or attempt == TRIES_MAX:
                    raise InputUnreadable(str(error)) from error
                await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the loop returns or raises")

    async def put(self, blob: str, body: bytes) -> None:
        async with self._blobs.writer(blob) as writer:
            await writer.write(body)
