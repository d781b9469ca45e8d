"""Writes the JSON of every dashboard into a folder. python -m deploy.monitoring.dashboards FOLDER"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.monitoring.dashboards.catalogue import DASHBOARDS
from deploy.monitoring.dashboards.render import rendered


def files() -> Mapping[str, str]:
    """Return file names and their contents."""
    return {f"{each.name}.json": rendered(each, DASHBOARDS) for each in DASHBOARDS}


def main(folder: Path) -> int:
    written = files()
    for stale in {path.name for path in folder.glob("*.json")} - written.keys():
        (folder / stale).unlink()
    for name, text in written.items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
