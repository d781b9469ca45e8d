"""A moving line while something takes time: what is being done, for how long, and how long it usually takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from vbatch.contracts.durations import duration


class Elapsed(ProgressColumn):
    """Shown as `4.1 s, usually 9 s`."""

    def __init__(self, usual_seconds: float | None) -> None:
        super().__init__()
        self._usual_seconds = usual_seconds

    def render(self, task: Task) -> Text:
        return Text(elapsed(task.elapsed or 0.0, self._usual_seconds), style="dim")


def elapsed(seconds: float, usual_seconds: float | None) -> str:
    usual = f", usually {duration(usual_seconds)}" if usual_seconds else ""
    return f"{duration(seconds)}{usual}"


@contextmanager
def moving_line(console: Console, text: str, usual_seconds: float | None = None) -> Iterator[None]:
    """Show the line while the block runs, on a terminal only; other lines appear above it. In a pipe nothing is
    written."""
    if not console.is_terminal:
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), Elapsed(usual_seconds))
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(text, total=None)
        yield
