"""up, down, status, logs: the stack on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from vbatch.cli.batch_logs import show_batch_logs
from vbatch.cli.commands.doctor import first_look
from vbatch.cli.exits import CommandError, Exit, Misused, ending
from vbatch.cli.options import AsJson, err, local_settings, out, print_json, print_table, table_of
from vbatch.cli.usual import usual_line
from vbatch.contracts.durations import duration
from vbatch.contracts.event_text import size
from vbatch.local import labeling
from vbatch.local.commands import LocalTrouble
from vbatch.local.stack import DiskStatus, Stack, StackStatus, last_lines

FOLLOW_SECONDS = 0.2
LABEL_STUDIO_SECONDS = 300.0
"""The first start of Label Studio creates its database."""
LINES_SHOWN = 50
LINES_SHOWN_MAX = 10_000

ServiceArgument = Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="By default all of them.")]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written.")]
MonitoringOption = Annotated[
    bool, typer.Option("--monitoring", help="Also Prometheus, Alertmanager and the node exporter, where installed.")
]
LabelingOption = Annotated[bool, typer.Option("--labeling", help="Also Label Studio and the labeler, where installed.")]
BatchOption = Annotated[str | None, typer.Option("--batch", metavar="ID", help="What all services said of this batch.")]
LinesOption = Annotated[int, typer.Option("--lines", "-n", min=0, max=LINES_SHOWN_MAX, help="Start with this many.")]


def up(with_monitoring: MonitoringOption = False, with_labeling: LabelingOption = False) -> None:
    """Start the server on this machine and wait until it is ready."""
    with ending():
        settings = local_settings()
        if with_monitoring:
            settings = settings.model_copy(update={"monitoring": True})
        if with_labeling:
            settings = settings.model_copy(update={"labeling": True, "ready_seconds_max": LABEL_STUDIO_SECONDS})
        first_look(settings)
        began = time.monotonic()
        with usual_line(err, settings.home, "up", "starting the programs"):
            _start(Stack(settings))
        took = duration(time.monotonic() - began)
        out.print(f"Ready in {took}: {settings.gateway_url}/v1 (documentation at /docs).")
        out.print(f"In a browser: {settings.console_url}")
        if settings.labeling:
            password = labeling.password_file(settings.home)
            out.print(
                f"Label Studio: http://127.0.0.1:{settings.label_studio_port}, {labeling.USER}, password in {password}"
            )
        if settings.monitoring:
            prometheus, alerts = settings.prometheus_port, settings.alertmanager_port
            out.print(f"Prometheus: http://127.0.0.1:{prometheus}/alerts, Alertmanager: http://127.0.0.1:{alerts}")


def down() -> None:
    """Stop the server on this machine. Its data is kept."""
    with ending():
        settings = local_settings()
        with usual_line(err, settings.home, "down", "stopping the programs"):
            stop(Stack(settings))
        out.print("Everything is stopped.")


def status(as_json: AsJson = False) -> None:
    """Show what runs and whether it is ready. The exit code is 1 if something is not."""
    with ending():
        found = Stack(local_settings()).status()
        if as_json:
            print_json(msgspec.json.encode(found) if found.services else b"{}")
        else:
            _show(found)
        if not found.is_ready:
            raise SystemExit(int(Exit.FAILED))


def logs(
    service: ServiceArgument = None,
    follow: FollowOption = False,
    lines: LinesOption = LINES_SHOWN,
    batch: BatchOption = None,
    as_json: AsJson = False,
) -> None:
    """Show the logs of the stack's programs; with --batch, what all services logged about one batch, in order."""
    with ending():
        if batch is not None:
            if service or follow:
                raise Misused("--batch gathers the lines of all services once: leave out SERVICE and --follow.")
            return show_batch_logs(local_settings().home, batch, lines, as_json=as_json)
        if as_json:
            raise Misused("--json goes with --batch; the logs of a program are JSON lines already.")
        stack = Stack(local_settings())
        names = service or [each.name for each in stack.status().services]
        paths = {name: _log_path(stack, name) for name in names}
        for name, path in paths.items():
            for line in last_lines(path, lines).splitlines() if lines else ():
                _print_line(name, line, is_named=len(paths) > 1)
        for name, line in _new_lines(paths) if follow else ():
            _print_line(name, line, is_named=len(paths) > 1)


def bring_up(stack: Stack) -> None:
    """Run `up` and show its progress. Raises CommandError; what has started keeps running."""
    try:
        stack.up(_say)
    except LocalTrouble as error:
        raise CommandError(str(error)) from error


def stop(stack: Stack) -> None:
    """Run `down` and show its progress. Raises CommandError."""
    try:
        stack.down(_say)
    except LocalTrouble as error:
        raise CommandError(str(error)) from error


def _start(stack: Stack) -> None:
    try:
        bring_up(stack)
    except CommandError as error:
        raise CommandError(
            f"{error}\nFix that and run `vbatch up` again, or stop the rest with `vbatch down`."
        ) from error


def _say(name: str, text: str) -> None:
    err.print(f"  {name:<13} {text}", markup=False)


def _log_path(stack: Stack, name: str) -> Path:
    try:
        return stack.log_path(name)
    except LocalTrouble as error:
        raise CommandError(str(error)) from error


def _show(found: StackStatus) -> None:
    table = table_of("program", "state", "pid", "up", "restarts", "memory", "says")
    for each in found.services:
        is_up = each.pid is not None
        numbers = (duration(each.uptime_seconds), str(each.restarts), size(each.rss_bytes)) if is_up else ("", "", "")
        table.add_row(each.name, _state(each.state, is_ready=each.is_ready), str(each.pid or ""), *numbers, each.detail)
    print_table(table)
    if found.disk is not None:
        out.print(_disk_line(found.disk))
    if found.supervisor_pid is None:
        out.print("The stack is down. Start it with: vbatch up")


def _disk_line(disk: DiskStatus) -> str:
    """Return the line that tells a reader of the table about the limit of the home."""
    held = f"The home holds {size(disk.used_bytes)} of {size(disk.bytes_max)} (VBATCH_DISK_BYTES_MAX); "
    if disk.used_bytes >= disk.refused_from_bytes:
        return f"{held}[red]new work is refused[/red] until files are deleted or the limit is raised."
    return f"{held}new work is refused from {size(disk.refused_from_bytes)} on."


def _state(word: str, *, is_ready: bool) -> str:
    if is_ready:
        return "[green]ready[/green]"
    return f"[red]{word.lower()}[/red]"


def _print_line(name: str, line: str, *, is_named: bool) -> None:
    out.print(f"{name:<13} {line}" if is_named else line, markup=False)


def _new_lines(paths: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield lines forever as they are written; a rotated log is read from its new beginning."""
    tails = {name: Tail(path) for name, path in paths.items()}
    while True:
        found = [(name, line) for name, tail in tails.items() for line in tail.lines()]
        yield from found
        if not found:
            time.sleep(FOLLOW_SECONDS)


class Tail:
    """Reads what is written to one file from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._inode = path.stat().st_ino if path.exists() else 0

    def lines(self) -> list[str]:
        """Return the complete lines that came since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            return self._read(file)

    def _read(self, file: BinaryIO) -> list[str]:
        found = self._path.stat()
        if found.st_ino != self._inode or found.st_size < self._offset:
            self._offset, self._inode = 0, found.st_ino
        file.seek(self._offset)
        whole, _, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + 1 if whole else 0
        return whole.decode(errors="replace").splitlines()
