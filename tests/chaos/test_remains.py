"""A lock that a process holds which nobody looks after is told from all other locks of the machine."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tests.chaos.remains import _stale_locks


def test_a_lock_is_stale_when_nobody_looks_after_its_holder(tmp_path: Path):
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert list(_stale_locks(tmp_path, {os.getpid()})) == []
        [found] = _stale_locks(tmp_path, set())
    assert found == f"lock: {tmp_path / '.lock'} is held by {os.getpid()}"
    assert list(_stale_locks(tmp_path, set())) == []
