"""deploy/engine/install: what it runs, and what it says while that takes its time, with a uv that only takes notes."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

INSTALL = ROOT / "deploy" / "engine" / "install"
UV = """#!/bin/sh
echo "$*" >>"{notes}"
case "$*" in
*--compile-bytecode*) sleep 1.2 ;;
*venv*) mkdir -p "{venv}/bin" ;;
esac
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tool, path = tmp_path / "tools" / "uv", tmp_path / "notes"
    tool.parent.mkdir()
    tool.write_text(UV.format(notes=path, venv=tmp_path / "engine"))
    tool.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("ENGINE_DEVICE", "cpu")
    return path


def on_a_terminal(command: list[str]) -> tuple[int, str]:
    """The exit code, and what a person would have seen."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(command, stdout=terminal, stderr=terminal) as running:
        os.close(terminal)
        seen = b""
        while True:
            try:
                piece = os.read(controller, 4_096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
    os.close(controller)
    return running.returncode, seen.decode()


def test_the_files_are_compiled_after_they_are_installed(notes: Path, tmp_path: Path):
    subprocess.run([INSTALL, tmp_path / "engine"], check=True, capture_output=True)
    syncs = [line for line in notes.read_text().splitlines() if line.startswith("pip sync")]
    assert ["--compile-bytecode" in line for line in syncs] == [False, True]
    assert (tmp_path / "engine" / "device").read_text() == "cpu\n"


def test_on_a_terminal_a_line_moves_while_they_are_compiled(notes: Path, tmp_path: Path):
    code, seen = on_a_terminal([str(INSTALL), str(tmp_path / "engine")])
    assert code == 0, seen
    assert "compiling vLLM's Python files, 0 s so far (usually a minute)" in seen
    assert "1 s so far" in seen


def test_in_a_pipe_it_says_once_what_it_does(notes: Path, tmp_path: Path):
    done = subprocess.run([INSTALL, tmp_path / "engine"], check=True, capture_output=True, text=True)
    assert done.stderr.count("compiling vLLM's Python files (usually a minute)") == 1
    assert "\x1b" not in done.stderr


def test_a_finished_environment_is_left_alone(notes: Path, tmp_path: Path):
    subprocess.run([INSTALL, tmp_path / "engine"], check=True, capture_output=True)
    before = notes.read_text()
    subprocess.run([INSTALL, tmp_path / "engine"], check=True, capture_output=True)
    assert notes.read_text() == before
