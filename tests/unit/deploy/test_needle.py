"""A text that is kept anywhere below a home is found there, also inside archives and across the pieces of a read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.archive import ArchiveEncoder, ArchiveHead
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.local import needle
from vbatch.local.needle import in_files, in_log

TEXT = b"the quick brown secret"
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_every_file_that_holds_it_is_named_with_how_often(tmp_path: Path):
    (tmp_path / "blobs" / "files").mkdir(parents=True)
    (tmp_path / "blobs" / "files" / "one").write_bytes(TEXT + b"\0" + TEXT)
    (tmp_path / "two").write_bytes(b"nothing of it")
    assert list(in_files(tmp_path, TEXT)) == [("blobs/files/one", 2)]


def test_it_is_found_across_two_pieces_of_a_read_and_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(needle, "PIECE_BYTES", 7)
    (tmp_path / "one").write_bytes(b"...." + TEXT + b"....")
    assert list(in_files(tmp_path, TEXT)) == [("one", 1)]


def test_it_is_found_inside_an_archive_that_compresses_it(tmp_path: Path):
    encoder = ArchiveEncoder(ArchiveHead("b1"))
    body = b'{"text":"' + (b"the quick " * 50) + TEXT + b'"}'
    content = encoder.feed([Recorded(1, "evt.batch.b1.chunk_completed", {}, body, NOON)]) + encoder.end()
    (tmp_path / "b1.jsonl.zst").write_bytes(content)
    assert ("b1.jsonl.zst (unpacked)", 1) in list(in_files(tmp_path, TEXT))


def test_what_only_looks_like_an_archive_is_read_as_it_is(tmp_path: Path):
    (tmp_path / "b1.jsonl.zst").write_bytes(TEXT)
    assert list(in_files(tmp_path, TEXT)) == [("b1.jsonl.zst", 1)]


async def test_it_is_found_in_the_events_of_the_log():
    journal = MemoryJournal(JournalSettings(url="nats://nowhere", name="test"), lambda: NOON)
    assert await in_log(journal.log, TEXT) is None
    await journal.log.append(Message("evt.batch.b1.created", TEXT, "e1"))
    assert await in_log(journal.log, TEXT) == ("the log, as it is read", 1)
    assert await in_log(journal.log, b"another") is None
