"""`python -m vbatch.local.backup save|restore` writes the folders below the current one as a tar to standard output, or
reads them back.

It is for the volumes of containers. No program may work on them meanwhile, and a restore needs them empty.
"""

import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

EXIT_BAD_USE = 2
EXIT_NOT_EMPTY = 1
SAVE, RESTORE = "save", "restore"


class NotEmpty(Exception):
    """A folder to restore is not empty. The text names it."""


def main() -> None:
    """Run the command. Only the tar is written to standard output."""
    match sys.argv[1:]:
        case [verb] if verb in (SAVE, RESTORE):
            _run(verb, sorted(path for path in Path.cwd().iterdir() if path.is_dir()))
        case _:
            sys.stderr.write(f"usage: {SAVE} >FILE, or {RESTORE} <FILE\n")
            raise SystemExit(EXIT_BAD_USE)


def save(folders: list[Path], out: BinaryIO) -> None:
    """Write the folders to the tar, each under its last name."""
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for folder in folders:
            tar.add(folder, folder.name)


def restore(folders: list[Path], source: BinaryIO) -> None:
    """Restore the folders. Raises NotEmpty before anything is read. Whatever else is in the tar is left out."""
    for folder in folders:
        if folder.is_dir() and any(folder.iterdir()):
            raise NotEmpty(f"{folder} is not empty, nothing was restored: docker compose down --volumes empties all")
    places = {folder.name: folder.parent for folder in folders}
    with tarfile.open(fileobj=source, mode="r|") as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        for member in tar:
            if (place := places.get(Path(member.name).parts[0])) is not None:
                tar.extract(member, place)


def _run(verb: str, folders: list[Path]) -> None:
    try:
        if verb == SAVE:
            save(folders, sys.stdout.buffer)
        else:
            restore(folders, sys.stdin.buffer)
    except NotEmpty as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_NOT_EMPTY) from error


if __name__ == "__main__":
    main()
