"""Which capability PostgreSQL keeps where it runs as nobody: one, if it must pass a closed folder."""

from __future__ import annotations

from pathlib import Path

from vbatch.local.privileges import capabilities_needed

NONE, PASSES = "-all", "-all,+dac_read_search"


def test_a_program_in_open_folders_keeps_none():
    assert capabilities_needed([Path("/usr/bin/env")]) == NONE


def test_a_program_that_must_reach_a_closed_folder_may_pass(tmp_path: Path):
    tmp_path.chmod(0o700)
    assert capabilities_needed([Path("/usr/bin/env"), tmp_path / "file"]) == PASSES


def test_a_folder_that_does_not_exist_yet_counts_as_closed():
    assert capabilities_needed([Path("/usr/not-yet-made/file")]) == PASSES
