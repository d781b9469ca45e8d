"""What a folder takes on disk, and how often it is counted."""

from __future__ import annotations

from pathlib import Path

from vbatch.chassis.disk_use import DiskAllowance, allowance_of, used_bytes

MIB = 1 << 20


def test_files_count_with_what_they_take_on_disk_and_links_count_nothing(tmp_path: Path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "large").write_bytes(b"x" * MIB)
    (tmp_path / "link").symlink_to(tmp_path / "below")
    with (tmp_path / "hole").open("wb") as sparse:
        sparse.truncate(100 * MIB)
    assert MIB <= used_bytes(tmp_path) < 2 * MIB
    assert used_bytes(tmp_path / "absent") == 0


def test_a_count_is_believed_for_a_while():
    counts = iter([40, 90])
    allowance = DiskAllowance(Path("/home"), 100, count=lambda _: next(counts))
    assert (allowance.used(), allowance.fill()) == (40, 0.4)


def test_a_limit_of_nothing_is_none():
    assert allowance_of(Path("/home"), 0) is None
