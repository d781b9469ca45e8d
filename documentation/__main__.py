"""Writes the reference pages that are made from the code.

python -m documentation            writes every file
python -m documentation --check    exits 1 when a file is stale
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from documentation.command_page import cli_page
from documentation.gpu_memory import memory_tables
from documentation.lifecycle_page import lifecycle_page
from documentation.markdown import replaced
from documentation.sequence_diagram import sequence_svg
from documentation.settings_page import configuration_page
from documentation.state_diagram import state_svg

FOLDER = Path(__file__).parents[1] / "docs"
GPU_PAGE = "quickstart-gpu.md"


def files() -> Mapping[str, str]:
    """Each generated file below docs/ with what it must contain."""
    return {
        "configuration.md": configuration_page(),
        "cli.md": cli_page(),
        "batch-lifecycle.md": lifecycle_page(),
        "img/batch-states.svg": state_svg(),
        "img/batch-sequence.svg": sequence_svg(),
        GPU_PAGE: replaced((FOLDER / GPU_PAGE).read_text(), "memory", memory_tables()),
    }


def stale_files() -> list[str]:
    """The files whose content is not what the code says."""
    return [name for name, text in files().items() if not _is_current(FOLDER / name, text)]


def main(arguments: Sequence[str]) -> int:
    if "--check" in arguments:
        stale = stale_files()
        sys.stderr.writelines(f"docs/{name} is stale: run `./taskw docs`\n" for name in stale)
        return 1 if stale else 0
    for name, text in files().items():
        (FOLDER / name).write_text(text)
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
