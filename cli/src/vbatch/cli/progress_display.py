"""Shows progress: a live bar on a terminal, plain lines in a pipe, JSON lines on demand."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from vbatch.cli.live import Progress
from vbatch.cli.moving import elapsed
from vbatch.cli.options import print_json
from vbatch.contracts.durations import duration
from vbatch.contracts.event_text import amount

BAR_COLUMNS = 20
REFRESHES_PER_SECOND = 4
PLAIN_STEPS = 10


class ProgressDisplay(Protocol):
    """Shows batches by name until its block ends."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def changed(self, name: str, progress: Progress) -> None:
        """Show the new progress of `name`."""


def display_for(console: Console, *, as_json: bool) -> ProgressDisplay:
    if as_json:
        return JsonDisplay()
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


class LiveDisplay:
    """Shows one line per batch, updated in place; messages scroll above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._shown: dict[str, Progress] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> Self:
        self._live = Live(get_renderable=self._picture, console=self._console, refresh_per_second=REFRESHES_PER_SECOND)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def changed(self, name: str, progress: Progress) -> None:
        self._shown[name] = progress
        for remark in progress.remarks[self._told.get(name, 0) :]:
            self._live.console.print(f"  {remark}", style="dim", markup=False)
        self._told[name] = len(progress.remarks)

    def _picture(self) -> Group:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis")
        for name, progress in self._shown.items():
            counts = progress.counts
            bar = ProgressBar(total=max(1, counts.total), completed=progress.answered, width=BAR_COLUMNS)
            grid.add_row(name if len(self._shown) > 1 else "", bar, describe(progress, datetime.now(UTC)))
        return Group(grid)


class PlainDisplay:
    """Prints a line when the status changes, a model loads, or another tenth is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: dict[str, tuple[object, ...]] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def changed(self, name: str, progress: Progress) -> None:
        for remark in progress.remarks[self._told.get(name, 0) :]:
            self._console.print(f"  {remark}", markup=False)
        self._told[name] = len(progress.remarks)
        step = progress.answered * PLAIN_STEPS // max(1, progress.counts.total)
        state = (progress.status, progress.loading, step)
        if self._last.get(name) != state:
            self._last[name] = state
            self._console.print(f"{name}  {describe(progress)}", markup=False)


class JsonDisplay:
    """Prints one JSON object per change."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""

    def changed(self, name: str, progress: Progress) -> None:
        speed, counts, usage = progress.speed(), progress.counts, progress.usage
        requests = {"total": counts.total, "completed": counts.completed, "failed": counts.failed}
        tokens = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        speeds = {
            "requests_per_second": round(speed.requests_per_second, 3),
            "tokens_per_second": round(speed.tokens_per_second, 3),
        }
        rest = {"seconds_left": progress.seconds_left(), "loading": progress.loading}
        head = {"batch_id": name, "status": progress.status}
        print_json(msgspec.json.encode(head | requests | tokens | speeds | rest))


def describe(progress: Progress, now: datetime | None = None) -> str:
    """Return `in_progress  340 of 1,000  12.3 req/s  1,204 tok/s  54.0 s left`. With a time, include how long a load
    takes by then."""
    counts, speed, left = progress.counts, progress.speed(), progress.seconds_left()
    parts: list[str] = [progress.status]
    if counts.total:
        parts.append(f"{progress.answered:,} of {counts.total:,}")
    if counts.failed:
        parts.append(f"{counts.failed:,} failed")
    if progress.loading:
        parts.append(f"loading {progress.loading}{_load_time(progress, now)}")
    elif speed.requests_per_second:
        parts.append(f"{speed.requests_per_second:,.1f} req/s  {speed.tokens_per_second:,.0f} tok/s")
    if left is not None:
        parts.append(f"{duration(left)} left")
    elif progress.forecast and progress.waits:
        parts.append(progress.forecast)
    if progress.is_over:
        parts.append(f"in {duration(progress.seconds)}")
    return "  ".join(parts)


def _load_time(progress: Progress, now: datetime | None) -> str:
    """Return ` for 12.0 s, usually 24.0 s`."""
    if now is None or progress.loading is None or progress.loading_since is None:
        return ""
    seconds = max(0.0, (now - progress.loading_since).total_seconds())
    usual = progress.usual_load_seconds.get(progress.loading)
    if usual is None:
        return f" for {duration(seconds)}; the first time its weights are made ready, too"
    return f" for {elapsed(seconds, usual)}"


def summary(progress: Progress) -> str:
    """Describe in one sentence how the batch ended."""
    counts, usage = progress.counts, progress.usage
    if progress.faults:
        return f"The file was rejected: {amount(len(progress.faults), 'fault')}."
    tokens = usage.input_tokens + usage.output_tokens
    return (
        f"The batch is {progress.status}: {counts.completed:,} answered, {counts.failed:,} failed of {counts.total:,}, "
        f"{tokens:,} tokens in {duration(progress.seconds)}."
    )
