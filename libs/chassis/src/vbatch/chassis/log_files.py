"""What all services logged about one thing, gathered from their rotated log files.

Only lines that our services wrote as JSON are included; the output of an engine or of another server is not. A line
never holds a prompt or an answer, because no service logs them (chassis.logs).
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec

BYTES_READ_MAX = 256 * 1024 * 1024
"""The limit for all files together, the newest first: half a second of a core."""
LINE_BYTES_MAX = 64 * 1024
TAIL_BYTES_MAX = 4 * 1024 * 1024
"""How much of the end of one file is read when the newest lines are wanted."""
LEVELS = ("debug", "info", "warning", "error", "critical")
"""From the least to the most severe."""
TEXT_CHARS_MAX = 1_000
PATTERN = "*.log*"
HEAD = frozenset({"time", "service", "level", "event", "logger", "exception", "stack"})
"""Keys of a line that are shown as fields of their own or, like tracebacks, not at all."""

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """`time` is ISO 8601 in UTC. `details` are the other keys of the line that have a single value."""

    time: str
    service: str
    level: str
    event: str
    details: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Lines in the order of their times. `has_more` says that there are older ones that are not among them."""

    lines: Sequence[LogLine]
    has_more: bool


def lines_about(folder: Path, word: str, *, lines_max: int, bytes_max: int = BYTES_READ_MAX) -> Gathered:
    """Return the newest lines in the log files of `folder` that hold `word`, an id. Blocks: call it in a thread."""
    paths, are_all = _newest_first(folder, bytes_max)
    seen: set[int] = set()
    matches = chain.from_iterable(_matches(path, word.encode(), seen) for path in paths)
    found = heapq.nlargest(lines_max + 1, matches, key=lambda line: line.time)
    return Gathered(found[:lines_max][::-1], has_more=len(found) > lines_max or not are_all)


@dataclass(frozen=True, slots=True)
class LinesWanted:
    """Which lines are wanted: those of one service if it is named, of at least this level, with one text and without
    another, in any case."""

    service: str = ""
    level: str = "debug"
    text: str = ""
    without: str = ""

    def takes_raw(self, raw: bytes) -> bool:
        """Return whether the bytes of a line match, before they are parsed."""
        plain = raw.lower()
        return self.text.lower().encode() in plain and not (self.without and self.without.lower().encode() in plain)

    def takes(self, line: LogLine) -> bool:
        if self.service not in ("", line.service):
            return False
        return line.level not in LEVELS or LEVELS.index(line.level) >= LEVELS.index(self.level)


def newest_lines(folder: Path, wanted: LinesWanted, *, lines_max: int, bytes_max: int = BYTES_READ_MAX) -> Gathered:
    """Return the newest wanted lines of all files in `folder`. Only the end of each file is read. Blocks: call it in a
    thread."""
    paths, are_all = _newest_first(folder, bytes_max)
    found: list[LogLine] = []
    for path in paths:
        lines, is_whole = _last_lines(path, wanted, lines_max + 1)
        found, are_all = found + lines, are_all and is_whole
    found = heapq.nlargest(lines_max + 1, found, key=lambda line: line.time)
    return Gathered(found[:lines_max][::-1], has_more=len(found) > lines_max or not are_all)


def _last_lines(path: Path, wanted: LinesWanted, count_max: int) -> tuple[list[LogLine], bool]:
    """Return at most `count_max` lines of the file, and whether its beginning was read too."""
    end, is_whole = _tail(path)
    found: list[LogLine] = []
    for raw in reversed(end.splitlines()):
        if len(raw) > LINE_BYTES_MAX or not wanted.takes_raw(raw):
            continue
        if (line := parsed(raw)) and wanted.takes(line):
            found.append(line)
        if len(found) == count_max:
            break
    return found, is_whole


def _tail(path: Path) -> tuple[bytes, bool]:
    with suppress(FileNotFoundError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES_MAX))
        return file.read(TAIL_BYTES_MAX), size <= TAIL_BYTES_MAX
    return b"", True


def parsed(raw: bytes) -> LogLine | None:
    """Return the parsed line; None for a line that none of our services wrote."""
    try:
        keys = msgspec.json.decode(raw, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    head = [keys.get(name) for name in ("time", "service", "level", "event")]
    time, service, level, event = (name if isinstance(name, str) else "" for name in head)
    return LogLine(time, service, level, event, _details(keys)) if time and event else None


def _details(keys: Mapping[str, object]) -> dict[str, Scalar]:
    scalars = {name: value for name, value in keys.items() if name not in HEAD and isinstance(value, Scalar)}
    return {name: value[:TEXT_CHARS_MAX] if isinstance(value, str) else value for name, value in scalars.items()}


def _newest_first(folder: Path, bytes_max: int) -> tuple[list[Path], bool]:
    """Return as many files as may be read, and whether these are all."""
    chosen: list[Path] = []
    for path, stat in sorted(_files(folder).items(), key=lambda each: each[1].st_mtime, reverse=True):
        bytes_max -= stat.st_size
        if bytes_max < 0:
            return chosen, False
        chosen.append(path)
    return chosen, True


def _files(folder: Path) -> dict[Path, os.stat_result]:
    """Return the files. One may be rotated away meanwhile; its lines are then under its next name, which is also
    read."""
    found: dict[Path, os.stat_result] = {}
    for path in folder.glob(PATTERN):
        with suppress(FileNotFoundError):
            found[path] = path.stat()
    return found


def _matches(path: Path, word: bytes, seen: set[int]) -> Iterator[LogLine]:
    """Yield the matching lines. `seen` are the files already read: a file that is rotated meanwhile would otherwise be
    read twice, under both of its names."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        inode = os.fstat(file.fileno()).st_ino
        if inode in seen:
            return
        seen.add(inode)
        for raw in iter(lambda: file.readline(LINE_BYTES_MAX), b""):
            if word in raw and (line := parsed(raw)):
                yield line
