"""Where the tests keep what they compare with, and how they look into folders in which others work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
EXAMPLES = ROOT / "examples"


def paths_below(folder: Path) -> Iterator[Path]:
    """Everything below a folder, now. What goes while we look is passed over, where Path.rglob would fail."""
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *files))
