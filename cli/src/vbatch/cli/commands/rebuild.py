"""rebuild: builds the read model from the log again, to compare it, to serve it, or to inspect an earlier moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vbatch.chassis import logs
from vbatch.chassis.blobs import BlobTrouble
from vbatch.chassis.settings import POSTGRES_URL_FILE, BadSettings, load
from vbatch.cli.exits import CommandError, Exit, Misused, Unreachable, ending
from vbatch.cli.options import AsJson, err, local_settings, out, print_json, run
from vbatch.cli.time_spec import HELP, last_before, time_spec
from vbatch.contracts.durations import duration
from vbatch.contracts.event_text import amount
from vbatch.journal.port import Log, Unavailable
from vbatch.local.log_access import nkey_file
from vbatch.local.nats_users import OPERATOR
from vbatch.results.flows import rebuilding, replaying
from vbatch.results.flows.rebuilding import RebuildOptions, RebuildRefused
from vbatch.results.flows.replaying import Report
from vbatch.results.ports import ReadModelMismatch, Trouble
from vbatch.results.settings import ResultsSettings
from vbatch.results.wiring import rebuild_dependencies

Verify = Annotated[bool, typer.Option("--verify", help="Compare it with the served one; exit code 1 if they differ.")]
Switch = Annotated[bool, typer.Option("--switch", help="Serve it from now on (with --verify: unless they differ).")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="SEQ|TIME", help=f"Rebuild the state at this event, or at {HELP}.")
]
Clean = Annotated[bool, typer.Option("--clean", help="Drop every read model that is not served, and nothing else.")]


def rebuild(
    verify: Verify = False,
    switch: Switch = False,
    until: Until = None,
    clean: Clean = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild the read model from the log, beside the one that is served."""
    with ending():
        _must_agree(until=until is not None, clean=clean, other=verify or switch)
    logs.configure("rebuild", "warning")
    if clean:
        run(_cleaned())
        err.print("Only the served read model is left.")
        return
    report = run(_made(RebuildOptions(verify, switch), until, as_json=as_json))
    _print(report, as_json=as_json)
    if report.difference_count or (report.is_served and not report.is_projected):
        raise SystemExit(int(Exit.FAILED))


def _must_agree(*, until: bool, clean: bool, other: bool) -> None:
    if until + clean + other > 1:
        raise Misused("--until and --clean cannot be combined with other modes.")


async def _made(wishes: RebuildOptions, until: str | None, *, as_json: bool) -> Report:
    with _shown(as_json=as_json) as on_progress, _troubles():
        async with rebuild_dependencies(_settings(), on_progress) as dependencies:
            if until is not None:
                wishes = replace(wishes, until=await _sequence(dependencies.journal.log, until))
            return await rebuilding.rebuild(dependencies, wishes)


async def _cleaned() -> None:
    with _troubles():
        async with rebuild_dependencies(_settings(), lambda progress: None) as dependencies:
            await rebuilding.clean(dependencies)


async def _sequence(log: Log, until: str) -> int:
    return int(until) if until.isdecimal() else await last_before(log, time_spec(until, datetime.now(UTC)))


def _settings() -> ResultsSettings:
    """Return the settings of the results service in the stack on this machine."""
    stack = local_settings()
    try:
        settings = load(ResultsSettings)
    except BadSettings as error:
        raise Misused(str(error)) from error
    return settings.model_copy(update={"nats_url": stack.log_url, "nats_nkey_file": nkey_file(stack, OPERATOR)})


@contextmanager
def _troubles() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        raise Unreachable(f"The log cannot be read ({error}). Start it with `vbatch up`.") from error
    except Trouble as error:
        raise Unreachable(f"{error}. Is it running? Check with `vbatch status`.") from error
    except (RebuildRefused, ReadModelMismatch, BlobTrouble) as error:
        raise CommandError(f"{error}.") from error


@contextmanager
def _shown(*, as_json: bool) -> Iterator[Callable[[replaying.Progress], None]]:
    if as_json:
        yield lambda progress: print_json(msgspec.json.encode({"progress": progress}))
        return
    columns = TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TextColumn("events  {task.fields[rate]}")
    with Progress(*columns, TimeElapsedColumn(), console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("replaying", total=None, rate="")

        def advance(progress: replaying.Progress) -> None:
            rate = f"{progress.outcomes / progress.seconds:,.0f} outcomes/s" if progress.seconds else ""
            bar.update(task, completed=progress.sequence, total=progress.end, rate=rate)

        yield advance


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        differences = [difference._asdict() for difference in report.differences]
        print_json(msgspec.json.encode(asdict(report) | {"differences": differences}))
    else:
        _show(report)


def _show(report: Report) -> None:
    seconds = duration(report.seconds)
    out.print(f"Replayed {amount(report.sequence, 'event')} with {amount(report.outcomes, 'outcome')} in {seconds}.")
    for difference in report.differences:
        out.print(f"  {difference.where}: {difference.what}", markup=False)
    for name in report.unverified:
        out.print(f"  not compared: {name}", markup=False)
    for line in _verdict(report):
        out.print(line, markup=False)


def _verdict(report: Report) -> Iterator[str]:
    if report.difference_count:
        yield f"The served read model differs from the log in {amount(report.difference_count, 'place')}."
        yield "Serve the rebuilt one with: vbatch rebuild --switch"
    elif report.is_compared:
        yield "The served read model is equal to the log, row by row and byte by byte."
    if not report.is_served:
        yield from _how_to_look(report)
    elif report.is_projected:
        yield "The rebuilt one is served now, and results continues it. Drop the old one with: vbatch rebuild --clean"
    else:
        yield "The rebuilt one is served now, but no results process continues it: start one (`vbatch up`)."


def _how_to_look(report: Report) -> Iterator[str]:
    settings = _settings()
    url = settings.home / POSTGRES_URL_FILE
    yield f'Rows:   psql "${{VBATCH_POSTGRES_URL:-$(cat {url})}}", then SET search_path TO {report.schema};'
    yield f"Files:  {settings.results_folder / report.folder}"
    yield "Drop it with: vbatch rebuild --clean"
