"""demo: runs two batches from file to answers on this machine, explains each step, and leaves nothing running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vbatch.cli import answers
from vbatch.cli.api_types import Batch, StoredFile, read
from vbatch.cli.client import Server, connect, reported
from vbatch.cli.commands.stack import bring_up, stop
from vbatch.cli.exits import CommandError, Misused, ending
from vbatch.cli.options import err, local_settings, out
from vbatch.cli.progress_display import ProgressDisplay, display_for, summary
from vbatch.cli.usual import Usual, usual_line
from vbatch.cli.watching import watch
from vbatch.client.submission import submission
from vbatch.contracts.durations import duration
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.journal.settings import JournalSettings
from vbatch.local.log_access import log_settings
from vbatch.local.settings import LocalSettings
from vbatch.local.stack import Stack

EXAMPLES = ("capitals.jsonl", "sentences.jsonl")
ANSWERS_SHOWN = 4
DEMO = "demo"

Examples = Annotated[Path, typer.Option(help="The folder with capitals.jsonl and sentences.jsonl.")]


def demo(examples: Examples = Path("examples")) -> None:
    """Run two example batches, from upload to answers, then stop everything again."""
    with ending():
        inputs = [examples / name for name in EXAMPLES]
        for path in inputs:
            if not path.is_file():
                raise Misused(f"{path} does not exist: run this in the project's folder, or give --examples.")
        settings = local_settings()
        usual, began = Usual(settings.home), time.monotonic()
        if seconds := usual.seconds(DEMO):
            out.print(f"This takes about {duration(seconds)} here.\n")
        with _running(Stack(settings), settings.home):
            asyncio.run(_show(settings, inputs))
        took = time.monotonic() - began
        usual.note(DEMO, took)
        out.print(f"\nThe demo took {duration(took)}.")


@contextmanager
def _running(stack: Stack, home: Path) -> Iterator[None]:
    """Start the stack and stop it on leaving; a stack that already runs is used and left running."""
    if stack.status().is_ready:
        out.print("A server is already running here: it is used and left running.")
        with _pointing_at_logs(stack):
            yield
        return
    out.print("Starting the server (NATS, PostgreSQL, gateway, console, scheduler, gpu-runner, results)")
    try:
        with usual_line(err, home, "up", "starting the programs"):
            bring_up(stack)
        with _pointing_at_logs(stack):
            yield
    finally:
        out.print("\nStopping the server")
        with usual_line(err, home, "down", "stopping the programs"):
            stop(stack)


@contextmanager
def _pointing_at_logs(stack: Stack) -> Iterator[None]:
    """Name the log to read after a failure: that of the first service that is not ready, or the runner's."""
    try:
        yield
    except CommandError as error:
        unwell = [each.name for each in stack.status().services if not each.is_ready]
        path = stack.log_path(unwell[0] if unwell else "gpu-runner")
        raise CommandError(f"{error}\nSee the log: {path}") from error


async def _show(settings: LocalSettings, inputs: list[Path]) -> None:
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    async with connect(settings.gateway_url, None) as server:
        out.print("\nSubmitting two files, for two models: the device holds one at a time")
        submitted = {path: await _submit(server, path) for path in inputs}
        out.print("\nWatching both")
        await _watch_all(server, log_settings(settings, "cli"), submitted)
        for path, batch in submitted.items():
            out.print(f"\nAnswers to {path}", markup=False)
            answered = folder / f"{path.stem}_output.jsonl"
            await _download(server, batch.id, answered)
            for line in answers.shown(path, answered, ANSWERS_SHOWN):
                out.print(f"  {line}", markup=False)
    out.print(f"\nThe answers are in {folder}, all data in {settings.home}", markup=False)


async def _submit(server: Server, path: Path) -> Batch:
    with reported(), submission(path, None) as made:
        uploaded = read(await server.send(made.filename, made.content), StoredFile)
    batch = read(await server.create(uploaded.id, made.endpoint, "24h", {"demo": path.stem}), Batch)
    out.print(f"  {path} is {batch.id}, {batch.endpoint}", markup=False)
    return batch


async def _watch_all(server: Server, log: JournalSettings, submitted: dict[Path, Batch]) -> None:
    with display_for(out, as_json=False) as display:
        watches = [_watch_one(server, log, path, batch, display) for path, batch in submitted.items()]
        endings = await asyncio.gather(*watches)
    for ended in endings:
        err.print(f"  {ended}")


async def _watch_one(server: Server, log: JournalSettings, path: Path, batch: Batch, display: ProgressDisplay) -> str:
    progress = await watch(server, batch.id, log, lambda seen: display.changed(path.stem, seen))
    if progress.status is not BatchStatus.COMPLETED or progress.counts.failed:
        reasons = "; ".join([fault.message for fault in progress.faults] + progress.remarks)
        raise CommandError(f"{path} was not answered. {summary(progress)} {reasons}".rstrip())
    return f"{path.stem}: {summary(progress)}"


async def _download(server: Server, batch_id: str, target: Path) -> None:
    ended = read(await server.batch(batch_id), Batch)
    if ended.output_file_id is None:
        raise CommandError(f"{batch_id} has no output file.")
    with target.open("wb") as file:
        async for piece in server.content(ended.output_file_id):
            file.write(piece)
