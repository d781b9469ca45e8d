import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vbatch.chassis.files import LockHeld, hold_lock, write_atomically

CRASH = """
import os, resource, sys
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
from vbatch.chassis.files import keep_private
keep_private()
os.abort()
"""

HOLDER = "import sys, pathlib; from vbatch.chassis.files import hold_lock\nwith hold_lock(pathlib.Path(sys.argv[1])):\n print('held', flush=True); sys.stdin.read()"  # noqa: E501


def test_a_file_is_replaced_whole_and_private(tmp_path: Path):
    path = tmp_path / "key"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(target, b"x")
    assert list(tmp_path.iterdir()) == [target]


def test_a_process_that_keeps_private_leaves_no_memory_on_the_disk_when_it_crashes(tmp_path: Path):
    crashed = subprocess.run([sys.executable, "-c", CRASH], cwd=tmp_path, check=False)
    assert crashed.returncode == -signal.SIGABRT
    assert list(tmp_path.iterdir()) == []


def test_a_lock_held_elsewhere_is_refused_with_the_pid_and_free_after_a_kill(tmp_path: Path):
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld, match=f"pid {holder.pid}"), hold_lock(path):
            raise AssertionError("the lock is held")
        holder.kill()
        holder.wait()
        with hold_lock(path):
            assert path.read_text() == f"{os.getpid()}\n"
