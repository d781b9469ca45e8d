"""The findings as a page: in colour on a terminal, as plain lines in a pipe."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vbatch.cli.doctor.findings import Finding, Level
from vbatch.contracts.event_text import amount

MARKS = {Level.GOOD: ("ok", "green"), Level.NOTE: ("note", "yellow"), Level.BAD: ("fix", "bold red")}
PAGE_COLUMNS_MAX = 110


def show(found: Sequence[Finding], console: Console) -> None:
    """Print one line or two for each finding, with its fix below it; then the verdict."""
    _print(_table(found), console)
    console.print()
    console.print(verdict(found))


def show_fixes(found: Sequence[Finding], console: Console) -> None:
    """Print only what should be changed; nothing on a machine in good order."""
    fixable = [finding for finding in found if finding.fix]
    if fixable:
        console.print("About this machine (all of it: vbatch doctor)")
        _print(_table(fixable), console)


def _print(table: Table, console: Console) -> None:
    """Wrap to the page's width, also in a pipe, where lines have no spaces at their end."""
    width = min(console.width, PAGE_COLUMNS_MAX) if console.is_terminal else PAGE_COLUMNS_MAX
    page = Console(file=io.StringIO(), width=width, force_terminal=console.is_terminal, highlight=False)
    with page.capture() as captured:
        page.print(table)
    for line in captured.get().splitlines():
        console.print(Text.from_ansi(line.rstrip()), soft_wrap=True)


def verdict(found: Sequence[Finding]) -> str:
    """Return `Nothing to change.`, or how many changes there are."""
    bad = sum(finding.level is Level.BAD for finding in found)
    notes = sum(finding.level is Level.NOTE and bool(finding.fix) for finding in found)
    if bad:
        more = f", and {amount(notes, 'thing')} could be better" if notes else ""
        return f"{amount(bad, 'thing')} to fix before this machine works well{more}."
    return f"It works here; {amount(notes, 'thing')} could be better." if notes else "Nothing to change."


def _table(found: Sequence[Finding]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    last = ""
    for finding in found:
        mark, style = MARKS[finding.level]
        topic = "" if finding.topic == last else finding.topic
        grid.add_row(Text(mark, style=style), Text(topic, style="bold"), Text(finding.says))
        if finding.fix:
            grid.add_row("", "", Padding(Text(f"→ {finding.fix}", style="cyan"), (0, 0, 0, 2)))
        last = finding.topic
    return grid
