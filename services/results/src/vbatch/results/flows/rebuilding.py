"""Rebuilds the read model from the log beside the one that is served, compares the two, and exchanges them.

The current one is served until the names are exchanged, in one transaction.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.files import LockHeld, hold_lock
from vbatch.contracts.read_model import PAST_SCHEMA, REBUILT_SCHEMA, REPLACED_SCHEMA, SCHEMA
from vbatch.journal.single_writer import SingleWriter
from vbatch.results.flows.output_sweeping import gone_outputs
from vbatch.results.flows.replaying import Replay, ReplayDependencies, Report, opened
from vbatch.results.flows.sealing import SOURCE
from vbatch.results.flows.serving import lease, own_folder
from vbatch.results.flows.verifying import Verifier
from vbatch.results.ports import Difference, ReadModel

REBUILT_PREFIX = "rebuilt-"
PAST_PREFIX = "past-"
LOCK_NAME = ".rebuild.lock"
DIFFERENCES_NAMED_MAX = 100
TAKE_OVER_TRIES = 3
POLL_SECONDS = 0.2


class RebuildRefused(Exception):
    """The request cannot be fulfilled now; the text says why and what to do."""


@dataclass(frozen=True)
class RebuildOptions:
    """`until` is the last event to replay; it excludes the other two options."""

    verify: bool = False
    switch: bool = False
    until: int | None = None


async def rebuild(shop: ReplayDependencies, options: RebuildOptions) -> Report:
    """Rebuild the read model. Raises RebuildRefused, and errors of the log, the database, the disk and the blobs."""
    async with _alone(shop):
        if options.until is not None:
            return await _past(shop, options.until)
        report = await _rebuilt(shop, options)
        if options.switch and not report.difference_count:
            await _serve(shop, report)
        return report


async def clean(shop: ReplayDependencies) -> None:
    """Drop everything that is not served."""
    async with _alone(shop):
        for schema in (REBUILT_SCHEMA, REPLACED_SCHEMA, PAST_SCHEMA):
            await shop.generations.drop(schema)
        await _tidy(shop)


async def _past(shop: ReplayDependencies, until: int) -> Report:
    head = await shop.journal.log.last_sequence()
    if not 0 < until <= head:
        raise RebuildRefused(f"the log holds the events 1 to {head}; there is no state of {until}")
    async with _fresh(shop, PAST_SCHEMA, f"{PAST_PREFIX}{until}") as replay:
        await replay.to(until)
        await _remove_gone(shop, replay, replay.read_model)
        if (served := await shop.generations.served()) is not None:
            async with shop.open_model(SCHEMA, served.folder) as model:
                await _remove_gone(shop, replay, model)
        return replay.report


async def _rebuilt(shop: ReplayDependencies, options: RebuildOptions) -> Report:
    served = await shop.generations.served()
    if options.verify and served is None:
        raise RebuildRefused("nothing of this version is served that could be compared; leave out --verify")
    folder = f"{REBUILT_PREFIX}{shop.now():%Y%m%dT%H%M%S%f}"
    async with _fresh(shop, REBUILT_SCHEMA, folder) as replay:
        await replay.to(served.sequence if served and options.verify else await shop.journal.log.last_sequence())
        if options.verify:
            await _compare(shop, replay)
        await _remove_gone(shop, replay, replay.read_model)
        return replay.report


async def _remove_gone(shop: ReplayDependencies, replay: Replay, model: ReadModel) -> None:
    """Remove the growing JSONL of batches with a file that, according to `model`, is deleted or has expired."""
    async for output in gone_outputs(model, shop.now()):
        await asyncio.to_thread(replay.partials.remove, output.batch_id)


async def _compare(shop: ReplayDependencies, replay: Replay) -> None:
    async with shop.generations.snapshot() as snapshot:
        await replay.to(snapshot.served.sequence)
        served_files = shop.partials()
        await asyncio.to_thread(served_files.enter, snapshot.served.folder)
        verifier = Verifier(
            replay.read_model,
            served_files=served_files,
            rebuilt_files=replay.partials,
            blobs=shop.blobs,
            now=shop.now,
        )
        report = replay.report
        async for difference in verifier.differences(snapshot, report.schema):
            _note(report, difference)
        growing = {batch_id: batch.row.partial_bytes for batch_id, batch in replay.state.batches.items()}
        async for difference in verifier.partial_differences(growing):
            _note(report, difference)
        report.is_compared, report.unverified = True, verifier.unverified


def _note(report: Report, difference: Difference) -> None:
    report.difference_count += 1
    if len(report.differences) < DIFFERENCES_NAMED_MAX:
        report.differences.append(difference)


async def _serve(shop: ReplayDependencies, report: Report) -> None:
    """Replace the results process, replay to the head of the log, exchange the names, and let the process continue."""
    async with _in_place_of_results(shop):
        reached(Failpoint.REBUILD_LEASED)
        async with opened(shop, report) as replay:
            await replay.to(await shop.journal.log.last_sequence())
        await shop.generations.serve(report.schema)
        reached(Failpoint.REBUILD_SERVED)
        report.is_served = True
        await _tidy(shop)
    report.is_projected = await _is_projected_beyond(shop, report.sequence)


@asynccontextmanager
async def _in_place_of_results(shop: ReplayDependencies) -> AsyncIterator[None]:
    """The results process stops when it reads of our lease, and releases the folder; a restarted one waits for it."""
    async with AsyncExitStack() as stack:
        for attempt in range(TAKE_OVER_TRIES):
            await SingleWriter(shop.journal, SOURCE).take_lease(lease(shop.pid, shop.now()))
            try:
                await stack.enter_async_context(own_folder(shop.folder))
                break
            except LockHeld as error:
                if attempt == TAKE_OVER_TRIES - 1:
                    raise RebuildRefused(f"results does not give up its folder: {error}") from error
        yield


async def _is_projected_beyond(shop: ReplayDependencies, sequence: int) -> bool:
    """Whether a results process continues with what is served now: its own lease is the first event it adds."""
    deadline = perf_counter() + shop.projecting_again_seconds
    while perf_counter() < deadline:
        served = await shop.generations.served()
        if served is not None and served.sequence > sequence:
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


@asynccontextmanager
async def _fresh(shop: ReplayDependencies, schema: str, folder: str) -> AsyncIterator[Replay]:
    """An empty read model that replaces whatever an earlier rebuild left there."""
    await shop.generations.drop(schema)
    await asyncio.to_thread(shutil.rmtree, shop.folder / folder, ignore_errors=True)
    async with own_folder(shop.folder / folder), opened(shop, Report(schema, folder)) as replay:
        await _tidy(shop)
        yield replay


@asynccontextmanager
async def _alone(shop: ReplayDependencies) -> AsyncIterator[None]:
    await asyncio.to_thread(shop.folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    try:
        with hold_lock(shop.folder / LOCK_NAME):
            yield
    except LockHeld as error:
        raise RebuildRefused(f"another rebuild is at work: {error}") from error


async def _tidy(shop: ReplayDependencies) -> None:
    """Remove the folders of read models that no longer exist."""
    in_use = await shop.generations.folders()
    await asyncio.to_thread(_remove_unused, shop.folder, in_use)


def _remove_unused(root: Path, in_use: set[str]) -> None:
    for path in root.iterdir():
        if path.is_dir() and path.name.startswith((REBUILT_PREFIX, PAST_PREFIX)) and path.name not in in_use:
            shutil.rmtree(path)
        elif path.suffix == ".jsonl" and "" not in in_use:
            path.unlink()
