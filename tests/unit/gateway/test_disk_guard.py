"""When new work is refused for want of room, and what the client is told."""

from __future__ import annotations

import pytest

from vbatch.gateway.core.disk_guard import Space, Watermark, check_space, readable_bytes
from vbatch.gateway.core.refusals import Reason, Refusal

MIB = 1 << 20
GIB = 1 << 30


def disk(free: int, total: int = 100 * GIB, *, is_for_uploads: bool = True) -> Space:
    return Space("The disk of the files (/data)", free, total, is_for_uploads=is_for_uploads)


def test_above_the_watermark_everything_is_welcome():
    check_space([(disk(2 * GIB), Watermark(GIB, 0.01))], upload_bytes=GIB - MIB)


def test_the_larger_of_bytes_and_share_is_kept_free():
    assert Watermark(GIB, 0.05).kept_bytes(disk(0)) == 5 * GIB
    assert Watermark(8 * GIB, 0.05).kept_bytes(disk(0)) == 8 * GIB


def test_below_the_watermark_new_work_is_told_where_and_how_much():
    with pytest.raises(Refusal) as refused:
        check_space([(disk(300 * MIB), Watermark(GIB, 0.0))], upload_bytes=512 * MIB)
    assert refused.value.reason is Reason.NO_ROOM
    assert refused.value.answer.status == 507
    assert "The disk of the files (/data) has 300.0 MiB free and new work needs 1.5 GiB." in refused.value.message


def test_an_upload_counts_only_where_its_bytes_go():
    places = [(disk(2 * GIB, is_for_uploads=False), Watermark(GIB, 0.0))]
    check_space(places, upload_bytes=50 * GIB)


def test_the_official_client_does_not_send_a_refused_upload_again():
    with pytest.raises(Refusal) as refused:
        check_space([(disk(0), Watermark(1, 0.0))], upload_bytes=0)
    assert refused.value.answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 << 40, "5.0 TiB"), (5 << 52, "20480.0 TiB")],
)
def test_sizes_are_told_for_people(count: int, words: str):
    assert readable_bytes(count) == words
