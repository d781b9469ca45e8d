"""The time of day for every service. A test campaign can step it as an operator or NTP does.

Waits and limits never use it; they use the event loop's clock, which does not step.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from vbatch.chassis.failpoints import control_folder

STEP_FILE = "clock"
"""A file in the failpoints folder. It holds the seconds to add."""


def utc_now() -> datetime:
    now = datetime.now(UTC)
    path = _step_file()
    return now if path is None else now + _step(path)


def _step(path: Path) -> timedelta:
    return timedelta(seconds=float(path.read_text())) if path.exists() else timedelta()


@cache
def _step_file() -> Path | None:
    folder = control_folder()
    return folder / STEP_FILE if folder else None
