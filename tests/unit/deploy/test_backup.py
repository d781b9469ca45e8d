"""A tar of folders and back: whole, and never over what is there."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from vbatch.local.backup import NotEmpty, restore, save


@pytest.fixture
def saved(tmp_path: Path) -> io.BytesIO:
    (tmp_path / "before/nats/stream").mkdir(parents=True)
    (tmp_path / "before/nats/stream/1.blk").write_bytes(b"events")
    (tmp_path / "before/masters").mkdir()
    (tmp_path / "before/masters/key").write_bytes(b"seed")
    (tmp_path / "before/masters/key").chmod(0o600)
    out = io.BytesIO()
    save([tmp_path / "before/nats", tmp_path / "before/masters"], out)
    return io.BytesIO(out.getvalue())


def test_what_was_saved_comes_back(saved: io.BytesIO, tmp_path: Path):
    folders = [tmp_path / "after/nats", tmp_path / "after/masters"]
    for folder in folders:
        folder.mkdir(parents=True)
    restore(folders, saved)

    assert (tmp_path / "after/nats/stream/1.blk").read_bytes() == b"events"
    assert (tmp_path / "after/masters/key").read_bytes() == b"seed"
    assert stat.S_IMODE((tmp_path / "after/masters/key").stat().st_mode) == 0o600


def test_a_folder_that_was_not_asked_for_stays_out(saved: io.BytesIO, tmp_path: Path):
    restore([tmp_path / "after/nats"], saved)
    assert [path.name for path in (tmp_path / "after").iterdir()] == ["nats"]


def test_nothing_is_written_over(saved: io.BytesIO, tmp_path: Path):
    folders = [tmp_path / "after/masters", tmp_path / "after/nats"]
    folders[1].mkdir(parents=True)
    (folders[1] / "other").touch()

    with pytest.raises(NotEmpty, match="nats is not empty"):
        restore(folders, saved)
    assert not folders[0].exists()
