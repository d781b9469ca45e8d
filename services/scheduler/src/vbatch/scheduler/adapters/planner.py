"""Input files are read and checked in a worker process: 200 MB of JSON must not hold up the event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from multiprocessing import get_context

from vbatch.chassis.blobs import BlobMissing, Blobs, BlobTrouble
from vbatch.chassis.parent import die_with_parent
from vbatch.contracts.orders import RequestRef
from vbatch.scheduler.core.decide import Verdict
from vbatch.scheduler.core.validation import FileCheck, FileRules
from vbatch.scheduler.ports import InputMissing, PlanningTrouble

BLOCK_BYTES = 1 << 20
FILES_PER_WORKER = 50
"""After so many files a worker is replaced: what one huge file left in its memory does not stay for ever."""

RECURSION_MAX = 600
"""Lines nested deeper are refused: lower than elsewhere, so that whoever reads an admitted line later can."""


class ProcessPlanner:
    """One file at a time, in a process of its own; a worker that dies is replaced."""

    def __init__(self, blob_url: str) -> None:
        self._blob_url = blob_url
        self._one_at_a_time = asyncio.Lock()
        self._pool = _new_pool()

    async def plan(self, blob: str, rules: FileRules) -> Verdict:
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(self._pool, check_file, self._blob_url, blob, rules)
            except BrokenProcessPool as error:
                self._pool = _new_pool()
                raise PlanningTrouble(f"the worker died while it read {blob}") from error

    def close(self) -> None:
        """Without waiting for a file that is being read."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def process_planner(blob_url: str) -> AsyncIterator[ProcessPlanner]:
    planner = ProcessPlanner(blob_url)
    try:
        yield planner
    finally:
        planner.close()


def check_file(blob_url: str, blob: str, rules: FileRules) -> Verdict:
    """Runs in the worker, and raises there what can cross to the service."""
    sys.setrecursionlimit(RECURSION_MAX)
    check, blobs = FileCheck(rules), Blobs.from_url(blob_url)

    def read_again(refs: Sequence[RequestRef]) -> list[bytes]:
        return asyncio.run(blobs.read_ranges(blob, [(ref.offset, ref.length) for ref in refs]))

    try:
        asyncio.run(_feed(check, blobs, blob))
        return check.verdict(read_again)
    except BlobMissing as error:
        raise InputMissing(str(error)) from error
    except BlobTrouble as error:
        raise PlanningTrouble(str(error)) from error


async def _feed(check: FileCheck, blobs: Blobs, blob: str) -> None:
    async for block in blobs.read_stream(blob, chunk_bytes=BLOCK_BYTES):
        check.feed(bytes(block))
        if check.is_hopeless:
            break


def _new_pool() -> ProcessPoolExecutor:
    """With its worker already starting, so that the first file does not wait for imports."""
    pool = ProcessPoolExecutor(
        max_workers=1,
        mp_context=get_context("spawn"),
        initializer=_begin_worker,
        initargs=(os.getpid(),),
        max_tasks_per_child=FILES_PER_WORKER,
    )
    pool.submit(_be_there)
    return pool


def _begin_worker(service: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the service, which stops us
    die_with_parent(signal.SIGKILL, parent=service)  # which may have been killed during our imports


def _be_there() -> None:
    """The first task of a worker; by then its imports are done."""
