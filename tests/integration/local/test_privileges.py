"""How PostgreSQL runs where this user is root: as nobody, with the one capability that closed folders need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vbatch.local.privileges import unprivileged

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up rights")
PASSES = "+dac_read_search"


def test_a_program_in_open_folders_keeps_no_capability():
    assert PASSES not in " ".join(unprivileged(("/usr/bin/env",), touches=[Path("/tmp/file")]).argv)


def test_a_program_that_must_reach_a_closed_folder_may_pass(tmp_path: Path):
    tmp_path.chmod(0o700)
    assert PASSES in " ".join(unprivileged(("/usr/bin/env",), touches=[tmp_path / "file"]).argv)


def test_a_folder_that_does_not_exist_yet_counts_as_closed():
    assert PASSES in " ".join(unprivileged(("/usr/bin/env",), touches=[Path("/tmp/not-yet-made/file")]).argv)
