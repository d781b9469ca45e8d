"""A reader who copies a page's commands, in order, into one shell and one Python, and stops at the first that fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from documentation.code_blocks import PYTHON, CodeBlock

DONE = "-- the block is done --"
BLOCK_BYTES_MAX = 1 << 20
PYTHON_LOOP = f"""
import json, sys
names = {{"__name__": "__main__"}}
for text in sys.stdin:
    exec(compile(json.loads(text), "block", "exec"), names)
    print({DONE!r}, flush=True)
"""
"""Runs one block after the other under the same names, as the interactive interpreter does."""


class BlockFailed(AssertionError):
    """The message has the block and everything that it printed."""


@dataclass
class Reader:
    """Both programs live in `folder` until `leave`. `port` stands for the 4080 that pages write."""

    folder: Path
    environment: Mapping[str, str]
    port: int
    _programs: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def run(self, block: CodeBlock) -> str:
        """What the block printed. Raises BlockFailed."""
        text = block.text.replace("127.0.0.1:4080", f"127.0.0.1:{self.port}")
        program = self._program(block.language)
        stdin, stdout = _pipes(program)
        stdin.write(_python_block(text) if block.language == PYTHON else _shell_block(text))
        stdin.flush()
        printed: list[str] = []
        for line in stdout:
            if line.rstrip("\n") == DONE:
                return "".join(printed)
            printed.append(line)
        raise BlockFailed(f"line {block.line} failed:\n{block.text}\nIt printed:\n{''.join(printed)}")

    def leave(self) -> None:
        """Close both programs; what a page left running is not theirs to stop."""
        for program in self._programs.values():
            stdin, stdout = _pipes(program)
            stdin.close()
            program.wait(timeout=10)
            stdout.close()

    def _program(self, language: str) -> subprocess.Popen[str]:
        if language not in self._programs:
            argv = [sys.executable, "-c", PYTHON_LOOP] if language == PYTHON else ["bash", "-eu", "-o", "pipefail"]
            self._programs[language] = subprocess.Popen(
                argv,
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return self._programs[language]


def _shell_block(text: str) -> str:
    """One compound command, so that no command of the block can read the blocks behind it."""
    return f"{{\n{text}\n}} </dev/null\necho '{DONE}'\n"


def _python_block(text: str) -> str:
    return json.dumps(text) + "\n"


def _pipes(program: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert program.stdin is not None and program.stdout is not None
    return program.stdin, program.stdout
