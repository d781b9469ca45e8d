"""What does not fit into memory as Python objects: ids and answers by id, in a temporary SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import BinaryIO

from vbatch.client.errors import TableError

ENTRIES_AT_ONCE = 1_000
PRAGMAS = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", "PRAGMA cache_size = -32768")
"""The file is useless after this process, and its cache has 32 MiB."""


class IdIndex:
    """The row of each id."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE ids (id BLOB PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID")

    def first_row(self, custom_id: str, row: int) -> int:
        """Return the first row that has this id: `row` itself if it is new."""
        key = custom_id.encode()
        if self._database.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (key, row)).rowcount:
            return row
        (first,) = self._database.execute("SELECT row FROM ids WHERE id = ?", (key,)).fetchone()
        return int(first)


class LineIndex:
    """The output line of each id; of several lines of one id, the first."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE lines (id BLOB UNIQUE NOT NULL, line BLOB NOT NULL)")

    def fill(self, lines: Iterable[tuple[str, bytes]]) -> int:
        """Store lines with their ids; return how many ids there are."""
        iterator = ((custom_id.encode(), line) for custom_id, line in lines)
        while entries := list(islice(iterator, ENTRIES_AT_ONCE)):
            self._database.executemany("INSERT OR IGNORE INTO lines VALUES (?, ?)", entries)
        (count,) = self._database.execute("SELECT count(*) FROM lines").fetchone()
        return int(count)

    def line(self, custom_id: str) -> bytes | None:
        found = self._database.execute("SELECT line FROM lines WHERE id = ?", (custom_id.encode(),)).fetchone()
        return None if found is None else bytes(found[0])


@contextmanager
def temporary_file() -> Iterator[BinaryIO]:
    """Yield a file without a name. Raises TableError when the temporary folder cannot hold it."""
    with _room(), TemporaryFile(prefix="vbatch-") as file:
        yield file


@contextmanager
def disk_database() -> Iterator[sqlite3.Connection]:
    """Yield a database in a temporary folder, which is removed afterwards. Raises TableError when there is no room for
    it."""
    with _room(), TemporaryDirectory(prefix="vbatch-") as folder:
        database = sqlite3.connect(Path(folder) / "index.sqlite3", isolation_level=None)
        try:
            for pragma in PRAGMAS:
                database.execute(pragma)
            database.execute("BEGIN")
            yield database
        finally:
            database.close()


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise TableError(f"The temporary folder cannot be used: {reason}. Set TMPDIR to a folder with room.") from error
