"""Reads input files from the blob store and writes large answers to it, and translates its errors for the runner."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from vbatch.chassis.backoff import Backoff
from vbatch.chassis.blobs import Blobs, BlobTrouble
from vbatch.contracts.orders import RequestRef
from vbatch.gpu_runner.ports import InputUnreadable

TRIES_MAX = 5
PAUSE_SECONDS = 0.2
PUT_PAUSE_SECONDS_MAX = 1.0

log = structlog.stdlib.get_logger("vbatch.gpu_runner")


class BlobFiles:
    """Retries transient errors with pauses that double. `trouble` is the reason why an answer waits to be stored."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.trouble: str | None = None

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
        """Store the answer, waiting while the store is full or unreachable: the answer has already cost its
        computation."""
        backoff = Backoff(PAUSE_SECONDS, PUT_PAUSE_SECONDS_MAX)
        while True:
            try:
                return await self._put(blob, body)
            except BlobTrouble as error:
                if not error.can_retry:
                    raise
                self.trouble = str(error)
                log.warning("answer_waits_for_its_blob", blob=blob, reason=str(error))
            await asyncio.sleep(backoff.seconds())

    async def _put(self, blob: str, body: bytes) -> None:
        async with self._blobs.writer(blob) as writer:
            await writer.write(body)
        self.trouble = None
