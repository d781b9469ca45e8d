"""Records docs/img/at-work.svg: real commands on a real terminal, against a whole server of their own.

python -m documentation.recording TARGET    needs the dependency group `recording`

The engine is the simulated one, at the speed given here; its answers say so.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from documentation.terminal_picture import Cell, Screen, animated_svg
from tests.support.stack import running_stack

COLUMNS, ROWS = 124, 22
MODEL = "simulated-chat"
MODELS = f"""\
[[model]]
id = "{MODEL}"
engine = "simulated"
max_num_seqs = 64
arguments = {{ startup-seconds = 2, latency-seconds = 0.3 }}
"""
REQUESTS = 2_000
PROMPT = "\x1b[32m$\x1b[0m "
FRAME_SECONDS = 0.5
PAUSE_SECONDS, LAST_SECONDS = 1.6, 4.0
COMMAND_SECONDS_MAX = 120.0
SESSION = (
    "vbatch submit reviews.jsonl --metadata project=reviews --watch",
    "vbatch batches --limit 1",
    "vbatch events --since 1m --type 'batch.*' | tail -n 3 | cut -c1-122",
    "vbatch status",
)


class Recorder:
    """A terminal that remembers what it showed."""

    def __init__(self) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self.screens: list[Screen] = []

    def show(self, output: bytes) -> None:
        self._stream.feed(output)

    def keep(self, seconds: float) -> None:
        """What stands there now was seen for so long; the same screen twice is one."""
        lines = tuple(self._line(row) for row in range(ROWS))
        if self.screens and self.screens[-1].lines == lines:
            seconds += self.screens.pop().seconds
        self.screens.append(Screen(lines, seconds))

    def _line(self, row: int) -> tuple[Cell, ...]:
        characters = [self._screen.buffer[row][column] for column in range(COLUMNS)]
        return tuple(Cell(each.data, each.fg, each.bold) for each in characters)


def record(commands: Sequence[str], folder: Path) -> list[Screen]:
    """Run each command in `folder`. Raises CalledProcessError when one fails."""
    recorder = Recorder()
    for command in commands:
        recorder.show(f"{PROMPT}{command}\r\n".encode())
        recorder.keep(PAUSE_SECONDS)
        for output in _output(command, folder):
            recorder.show(output)
            recorder.keep(FRAME_SECONDS)
        recorder.keep(PAUSE_SECONDS)
    recorder.show(PROMPT.encode())
    recorder.keep(LAST_SECONDS)
    return recorder.screens


def _output(command: str, folder: Path) -> Iterator[bytes]:
    """What a command prints to its terminal, gathered for one frame at a time."""
    with _terminal() as (mine, theirs):
        program = subprocess.Popen(
            ["bash", "-c", command], cwd=folder, env=_environment(), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        deadline = time.monotonic() + COMMAND_SECONDS_MAX
        while output := _frame(mine):
            if time.monotonic() > deadline:
                program.kill()
            yield output
        if code := program.wait(timeout=10):
            raise subprocess.CalledProcessError(code, command)


def _environment() -> dict[str, str]:
    """A plain terminal with this environment's commands on its path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}


@contextmanager
def _terminal() -> Iterator[tuple[int, int]]:
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    try:
        yield mine, theirs
    finally:
        os.close(mine)


def _frame(descriptor: int) -> bytes:
    """At least one piece of output, and whatever else comes within the frame; empty at the end."""
    gathered, ends_at = b"", time.monotonic() + FRAME_SECONDS
    while True:
        try:
            piece = os.read(descriptor, 1 << 16)
        except OSError:  # how Linux says that nobody holds the other end any more
            piece = b""
        gathered += piece
        if not piece or time.monotonic() >= ends_at:
            return gathered


def _requests(path: Path) -> None:
    with path.open("w") as file:
        for number in range(REQUESTS):
            message = {"role": "user", "content": f"Is review {number} positive or negative?"}
            body = {"model": MODEL, "messages": [message]}
            line = {"custom_id": f"review-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(line) + "\n")


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models.toml").write_text(MODELS)
        _requests(folder / "reviews.jsonl")
        with running_stack(folder / "models.toml", {"VBATCH_LOCAL_READY_SECONDS_MAX": "90"}):
            screens = record(SESSION, folder)
    target.write_text(animated_svg(screens, COLUMNS, "A batch from upload to answers, on a terminal"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
