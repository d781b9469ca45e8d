"""A lock that a process holds which nobody looks after is told from all other locks of the machine."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from tests.chaos.remains import _place_of, _stale_locks
from tests.support.paths import paths_below


def test_a_lock_is_stale_when_nobody_looks_after_its_holder(tmp_path: Path):
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert list(_stale_locks(tmp_path, {os.getpid()})) == []
        [found] = _stale_locks(tmp_path, set())
    assert found == f"lock: {tmp_path / '.lock'} is held by {os.getpid()}"
    assert list(_stale_locks(tmp_path, set())) == []


def test_a_folder_that_its_owner_removes_meanwhile_is_passed_over(tmp_path: Path):
    for name in ("a", "b", "c"):
        (tmp_path / name / "below").mkdir(parents=True)
        (tmp_path / name / "below" / ".lock").touch()
    looking = paths_below(tmp_path)
    seen = [next(looking)]
    shutil.rmtree(tmp_path / "b")
    shutil.rmtree(tmp_path / "c")
    seen += looking
    assert {path.name for path in seen} >= {"a", "b", "c"}, "what was listed before is still told"
    assert _place_of(tmp_path / "b" / "below" / ".lock") is None
    assert _place_of(tmp_path / "a") is None
    assert _place_of(tmp_path / "a" / "below" / ".lock") is not None
