"""The command as a process: what it prints arrives, and its exit code is its own, with an object store loaded too."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "Usage"),
        (["nonsense"], 2, "No such command"),
        (["backup", "nosuch://store/here"], 1, "no blob store"),
    ],
)
def test_the_exit_code_and_the_words_of_a_command_arrive(arguments: list[str], code: int, words: str):
    argv = [sys.executable, "-m", "vbatch.cli", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
