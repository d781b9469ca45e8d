"""The folders of the test data, and a listing of folders that others change meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
EXAMPLES = ROOT / "examples"


def paths_below(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder now. What disappears meanwhile is skipped, where Path.rglob would fail."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *files))
