"""Secrets at rest: what was kept comes back, and nothing else."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vbatch.chassis.sealed import SealedFolder, SecretLost

SECRET = b"a secret of thirty-two bytes !!!"


def test_a_secret_comes_back_to_whoever_has_the_folder(tmp_path: Path):
    SealedFolder(tmp_path / "sealed").keep("one", SECRET)
    assert SealedFolder(tmp_path / "sealed").read("one") == SECRET


def test_files_are_private_and_hold_no_secret(tmp_path: Path):
    SealedFolder(tmp_path / "sealed").keep("one", SECRET)
    for path in (tmp_path / "sealed").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert SECRET not in path.read_bytes()


@pytest.mark.parametrize("harm", ["forgotten", "cut", "exchanged", "another key"])
def test_a_secret_that_cannot_be_trusted_is_lost(tmp_path: Path, harm: str):
    folder = SealedFolder(tmp_path)
    folder.keep("one", SECRET)
    folder.keep("two", SECRET)
    match harm:
        case "forgotten":
            folder.forget("one")
        case "cut":
            (tmp_path / "one").write_bytes((tmp_path / "one").read_bytes()[:-1])
        case "exchanged":
            (tmp_path / "one").write_bytes((tmp_path / "two").read_bytes())
        case _:
            (tmp_path / "key").write_bytes(bytes(32))
    with pytest.raises(SecretLost):
        folder.read("one")


def test_forgetting_twice_is_no_error(tmp_path: Path):
    SealedFolder(tmp_path).forget("one")


def test_many_that_begin_at_once_share_one_key(tmp_path: Path):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: SealedFolder(tmp_path / "s").keep(f"s{number}", SECRET), range(16)))
    assert all(SealedFolder(tmp_path / "s").read(f"s{number}") == SECRET for number in range(16))
