"""What an upload in parts may be asked, and what its events make of it, in any order a log can hold them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.support.events import FILE, NOON, OWNER, PART, UPLOAD
from vbatch.contracts import events as e
from vbatch.contracts.ids import PartId
from vbatch.gateway.core.files import part_uploads as rules
from vbatch.gateway.core.files.part_uploads import PartUpload, UploadEvent, UploadStatus, fold
from vbatch.gateway.core.refusals import Refusal

ASK = {"bytes": 5, "filename": "in.jsonl", "mime_type": "text/jsonl", "purpose": "batch"}
CREATED = e.UploadCreated(
    at=NOON,
    upload_id=UPLOAD,
    owner=OWNER,
    bytes=30,
    filename="in.jsonl",
    mime_type="text/jsonl",
    purpose="batch",
    expires_at=NOON + timedelta(hours=1),
)
COMPLETED = e.UploadCompleted(at=NOON, upload_id=UPLOAD, part_ids=(PART,), file_id=FILE)
CANCELLED = e.UploadCancelled(at=NOON, upload_id=UPLOAD)
REMOVED = e.UploadPartsRemoved(at=NOON, upload_id=UPLOAD)


def part(name: str, size: int = 10) -> e.UploadPartAdded:
    return e.UploadPartAdded(at=NOON, upload_id=UPLOAD, part_id=PartId(name), bytes=size, blob=f"parts/{name}")


def folded(*events: UploadEvent) -> PartUpload:
    upload = None
    for sequence, event in enumerate(events, start=1):
        upload = fold(upload, event, sequence)
    assert upload is not None
    return upload


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"bytes": 0}, "bytes", "integer_below_min_value"),
        ({"bytes": "5"}, "bytes", "invalid_type"),
        ({"bytes": True}, "bytes", "invalid_type"),
        ({"bytes": 209_715_201}, None, None),
        ({"bytes": 8 * 2**30 + 1, "purpose": "user_data"}, None, None),
        ({"purpose": "fun"}, "purpose", None),
        ({"purpose": None}, "purpose", "missing_required_parameter"),
        ({"filename": 3}, "filename", "invalid_type"),
        ({"mime_type": "x" * 256}, "mime_type", "string_above_max_length"),
        ({"speed": 3}, "speed", "unknown_parameter"),
        ({"expires_after": {"anchor": "now", "seconds": 3600}}, "expires_after.anchor", "invalid_value"),
    ],
)
def test_an_upload_that_cannot_be_meant_is_refused(change: dict[str, Any], param: str | None, code: str | None):
    with pytest.raises(Refusal) as refused:
        rules.parse_create_upload(json.dumps(ASK | change).encode())
    assert (refused.value.param, refused.value.answer.code) == (param, code)


def test_an_upload_may_become_a_larger_batch_file_where_the_server_takes_one():
    params = json.dumps(ASK | {"bytes": 1 << 30}).encode()
    assert rules.parse_create_upload(params, 1 << 30).bytes == 1 << 30
    with pytest.raises(Refusal, match="too large"):
        rules.parse_create_upload(params)


@pytest.mark.parametrize("part_ids", [[], "part", [3], ["a", "a"], [None]])
def test_a_completion_names_each_part_once(part_ids: object):
    with pytest.raises(Refusal) as refused:
        rules.parse_complete_upload(json.dumps({"part_ids": part_ids}).encode())
    assert refused.value.param is not None and refused.value.param.startswith("part_ids")


def test_a_batch_file_lives_thirty_days_and_others_as_long_as_asked():
    assert rules.parse_create_upload(json.dumps(ASK).encode()).file_expires_after_seconds == 2_592_000
    other = ASK | {"purpose": "user_data"}
    assert rules.parse_create_upload(json.dumps(other).encode()).file_expires_after_seconds is None


def test_the_first_end_is_the_end():
    assert folded(CREATED, CANCELLED, COMPLETED).status(NOON) is UploadStatus.CANCELLED
    assert folded(CREATED, COMPLETED, CANCELLED).status(NOON) is UploadStatus.COMPLETED


def test_time_alone_ends_what_nobody_ended():
    last = CREATED.expires_at - timedelta(microseconds=1)
    assert folded(CREATED).status(last) is UploadStatus.PENDING
    assert folded(CREATED).status(CREATED.expires_at) is UploadStatus.EXPIRED
    assert folded(CREATED, COMPLETED).status(datetime.max.replace(tzinfo=NOON.tzinfo)) is UploadStatus.COMPLETED


def test_parts_are_chosen_in_the_order_asked_for_and_must_make_up_the_bytes():
    upload = folded(CREATED, part("a"), part("b"), part("c"), part("d", 1))
    assert [part.part_id for part in rules.chosen_parts(upload, (PartId("c"), PartId("a"), PartId("b")))] == [
        "c",
        "a",
        "b",
    ]
    for unfit in (("a", "b"), ("a", "b", "c", "d"), ("a", "b", "x")):
        with pytest.raises(Refusal):
            rules.chosen_parts(upload, [PartId(name) for name in unfit])


def test_an_upload_takes_parts_up_to_its_limits():
    rules.check_room(folded(CREATED), rules.PART_BYTES_MAX)
    full = folded(CREATED, *(part(f"p{n}", 1) for n in range(rules.PARTS_MAX)))
    heavy = folded(CREATED, *(part(f"p{n}", rules.PART_BYTES_MAX) for n in range(128)))
    for upload, size in ((folded(CREATED), rules.PART_BYTES_MAX + 1), (full, 1), (heavy, 1)):
        with pytest.raises(Refusal):
            rules.check_room(upload, size)


@given(st.permutations([CREATED, part("a"), part("b"), COMPLETED, CANCELLED, REMOVED]))
def test_any_order_of_events_folds(events: list[UploadEvent]):
    assert folded(*events).id == UPLOAD
