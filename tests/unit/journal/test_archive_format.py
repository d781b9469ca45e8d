"""An archive gives back exactly what was put in, is readable by plain zstd, and is never mistaken for a whole one."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from backports import zstd
from hypothesis import given, strategies as st

from vbatch.contracts.message import Recorded
from vbatch.journal.archive import ArchiveDamaged, ArchiveDecoder, ArchiveEncoder, ArchiveHead, ArchiveTotals

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HEAD = ArchiveHead("b1")

bodies = st.one_of(st.binary(max_size=60), st.text(max_size=20).map(lambda text: msgspec.json.encode({"text": text})))
headers = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=3)


def record(sequence: int, body: bytes = b'{"a":1}', header: dict[str, str] | None = None) -> Recorded:
    at = NOON + timedelta(microseconds=sequence)
    return Recorded(sequence, "evt.batch.b1.chunk_completed", header or {}, body, at)


def archive_of(records: list[Recorded]) -> bytes:
    encoder = ArchiveEncoder(HEAD)
    return encoder.feed(records) + encoder.end()


def read(content: bytes, step: int = 1 << 20) -> list[Recorded]:
    decoder = ArchiveDecoder()
    records = [each for at in range(0, len(content), step) for each in decoder.feed(content[at : at + step])]
    decoder.end()
    return records


@given(st.lists(st.tuples(bodies, headers), max_size=6), st.integers(1, 40))
def test_records_come_back_as_they_went_however_the_bytes_are_cut(contents, step):
    records = [record(3 * number, body, header) for number, (body, header) in enumerate(contents, 1)]
    assert read(archive_of(records), step) == records


def test_an_archive_larger_than_a_frame_comes_back_whole():
    noise = random.Random(1)
    records = [record(n, msgspec.json.encode({"x": noise.randbytes(60_000).hex()})) for n in range(1, 40)]
    content = archive_of(records)
    assert read(content) == records
    assert content.count(b"\x28\xb5\x2f\xfd") > 1


def test_plain_zstd_shows_json_lines_with_a_head_and_counts_at_the_end():
    lines = zstd.decompress(archive_of([record(4), record(9, b"\xff")])).splitlines()
    head, first, second, end = map(msgspec.json.decode, lines)
    assert head == {"batch_id": "b1", "format": "vbatch-archive", "version": 1, "erased": []}
    assert (first["body"], second["body_base64"]) == ({"a": 1}, "/w==")
    assert end == {"end": {"events": 2, "first_sequence": 4, "last_sequence": 9}}


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_an_archive_that_was_cut_is_refused(kept: int):
    with pytest.raises(ArchiveDamaged):
        read(archive_of([record(1), record(2)])[:kept])


def test_an_archive_with_one_bit_turned_over_is_refused():
    content = bytearray(archive_of([record(n, b'{"x":"%d"}' % n) for n in range(1, 50)]))
    content[len(content) // 2] ^= 4
    with pytest.raises(ArchiveDamaged):
        read(bytes(content))


@pytest.mark.parametrize(
    "lines",
    [
        [b'{"batch_id":"b1","format":"vbatch-archive","version":2}'],
        [b'{"batch_id":"b1","format":"another"}'],
        [b"hello"],
        [msgspec.json.encode(HEAD), b'{"end":{"events":1,"first_sequence":1,"last_sequence":1}}'],
        [msgspec.json.encode(HEAD), b'{"end":{}}', b'{"end":{}}'],
        [msgspec.json.encode(HEAD), b'{"sequence":"x"}'],
    ],
)
def test_what_is_no_archive_of_this_version_is_refused(lines: list[bytes]):
    with pytest.raises(ArchiveDamaged):
        read(zstd.compress(b"\n".join([*lines, b""])))


def test_records_out_of_order_are_refused_while_they_are_written():
    with pytest.raises(ValueError, match="record 2 after 3"):
        ArchiveEncoder(HEAD).feed([record(3), record(2)])


def test_the_totals_say_what_the_archive_holds():
    decoder = ArchiveDecoder()
    decoder.feed(archive_of([record(4), record(9)]))
    assert (decoder.end(), decoder.head) == (ArchiveTotals(2, 4, 9), HEAD)
