"""Services of one folder share a secret, whichever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vbatch.chassis.shared_token import provided_token


def test_all_that_come_get_the_same_token_and_only_its_owner_can_read_it(tmp_path: Path):
    path = tmp_path / "secrets" / "lane-token"
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: provided_token(path), range(16)))
    assert len(tokens) == 1 and len(tokens.pop()) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["lane-token"]


def test_a_file_without_a_token_is_named(tmp_path: Path):
    path = tmp_path / "lane-token"
    path.write_text("\n")
    with pytest.raises(ValueError, match="lane-token holds no token"):
        provided_token(path)
