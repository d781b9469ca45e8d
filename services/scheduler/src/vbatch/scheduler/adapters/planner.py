"""Worker processes read and check the input files: 200 MB of JSON must not block the event loop.

Long files have their own worker, so that a batch of twenty requests does not wait until a million are ordered.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Set
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from multiprocessing import get_context
from pathlib import Path

from vbatch.scheduler.adapters.plans import KeptPlans
from vbatch.scheduler.adapters.reading import be_there, begin, check_file
from vbatch.scheduler.core.decide import PlanResult
from vbatch.scheduler.core.planning.validation import FileRules
from vbatch.scheduler.ports import CheckerDied

LONG_FILE_BYTES = 64 << 20
"""A file of this size or more counts as long: it takes a second or more."""
SHORT_FILES_PER_WORKER, LONG_FILES_PER_WORKER = 50, 1
"""A worker is replaced after this many files, so that it does not keep the memory that one huge file took."""
LONG_FILE_NICENESS = 5
"""The niceness of the worker for long files: work that a client waits for precedes a file that takes seconds anyway."""


class ProcessPlanner:
    """Reads one short and one long file at a time, each in a process of its own."""

    def __init__(self, blob_url: str, plans: KeptPlans | None) -> None:
        self._plans = plans
        self._short = _PlanningWorker(blob_url, None, SHORT_FILES_PER_WORKER, niceness=0)
        self._long = _PlanningWorker(blob_url, plans, LONG_FILES_PER_WORKER, niceness=LONG_FILE_NICENESS)

    async def plan(self, blob: str, file_bytes: int, rules: FileRules) -> PlanResult:
        lane = self._long if file_bytes >= LONG_FILE_BYTES else self._short
        return await lane.plan(blob, rules)

    def keep_only(self, blobs: Set[str]) -> None:
        if self._plans is not None:
            self._plans.keep_only(blobs)

    def close(self) -> None:
        """Stop the workers without waiting for files that are being read."""
        self._short.close()
        self._long.close()


@asynccontextmanager
async def process_planner(blob_url: str, plans_folder: Path | None = None) -> AsyncIterator[ProcessPlanner]:
    """A planner with its workers. It keeps the plans of long files in the folder, if one is given."""
    planner = ProcessPlanner(blob_url, KeptPlans(plans_folder) if plans_folder else None)
    try:
        yield planner
    finally:
        planner.close()


class _PlanningWorker:
    """One worker; when it dies, or has read its number of files, the next one starts at once."""

    def __init__(self, blob_url: str, plans: KeptPlans | None, files_per_worker: int, *, niceness: int) -> None:
        self._blob_url = blob_url
        self._plans = plans
        self._files_per_worker = files_per_worker
        self._niceness = niceness
        self._one_at_a_time = asyncio.Lock()
        self._begin_worker()

    async def plan(self, blob: str, rules: FileRules) -> PlanResult:
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            try:
                result = await loop.run_in_executor(self._pool, check_file, self._blob_url, blob, rules, self._plans)
            except BrokenProcessPool as error:
                self._replace_worker()
                raise CheckerDied(f"the worker died while it read {blob}") from error
            self._files_left -= 1
            if self._files_left == 0:
                self._replace_worker()
            return result

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _replace_worker(self) -> None:
        self._pool.shutdown(wait=False)
        self._begin_worker()

    def _begin_worker(self) -> None:
        """Start the worker's imports early, so that its first file does not wait for them."""
        self._files_left = self._files_per_worker
        self._pool = ProcessPoolExecutor(
            max_workers=1,
            mp_context=get_context("spawn"),
            initializer=begin,
            initargs=(os.getpid(), self._niceness),
        )
        self._pool.submit(be_there)
