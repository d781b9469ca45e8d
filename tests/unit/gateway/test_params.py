"""Pages, ranges, keys, resume points: the small asks."""

import hashlib

import pytest

from vbatch.gateway.core.api_keys import BadKeyFile, read_key_file
from vbatch.gateway.core.files.ranges import ByteRange, read_range
from vbatch.gateway.core.live_events import read_last_event_id
from vbatch.gateway.core.pages import (
    ListResultsParams,
    TailResultsParams,
    parse_list_batches,
    parse_list_files,
    parse_list_results,
    parse_tail_results,
)
from vbatch.gateway.core.refusals import ANSWERS, Reason, Refusal

DIGEST = hashlib.sha256(b"right").hexdigest()


def code_of(refused: pytest.ExceptionInfo[Refusal]) -> str | None:
    return refused.value.answer.code


def test_every_reason_has_an_answer():
    assert set(ANSWERS) == set(Reason)


def test_a_clients_own_words_come_back_bounded():
    refusal = Refusal(Reason.VALUE_INVALID, "x" * 100_000, "y" * 100_000)
    assert len(str(refusal.envelope())) < 2_200


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("0", "integer_below_min_value"),
        ("-5", "integer_below_min_value"),
        ("101", "integer_above_max_value"),
        ("ten", "invalid_type"),
        ("1.0", "invalid_type"),
        ("", "invalid_type"),
        ("٣", "invalid_type"),
        ("9" * 30, "integer_above_max_value"),
        ("-" + "9" * 30, "integer_below_min_value"),
        ("9" * 5_000, "invalid_type"),
    ],
)
def test_a_limit_out_of_range_is_refused(limit: str, code: str):
    with pytest.raises(Refusal) as refused:
        parse_list_batches({"limit": limit})
    assert code_of(refused) == code


def test_the_wording_of_a_limit_too_high_is_openais():
    with pytest.raises(Refusal) as refused:
        parse_list_batches({"limit": "101"})
    words = "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead."
    assert refused.value.message == words


def test_files_come_ten_thousand_at_once_unless_asked_otherwise():
    assert parse_list_files({}).limit == 10_000
    assert parse_list_files({"order": "asc"}).is_ascending


def test_results_are_paged_only_when_asked():
    assert parse_list_results({}) is None
    assert parse_list_results({"after_line": "7"}) == ListResultsParams(7, 1000)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("bytes=0-", ByteRange(0, 10)),
        ("Bytes=0-", ByteRange(0, 10)),
        ("bytes=2-4", ByteRange(2, 5)),
        ("bytes=2-400", ByteRange(2, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-30", ByteRange(0, 10)),
        ("bytes=4-2", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
    ],
)
def test_a_range_is_read(header: str | None, part: ByteRange | None):
    assert read_range(header, 10) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(header: str):
    with pytest.raises(Refusal) as refused:
        read_range(header, 10)
    assert refused.value.answer.status == 416


def test_a_resume_point_is_never_before_the_batch():
    assert read_last_event_id(None, created=50) == 49
    assert read_last_event_id("3", created=50) == 49
    assert read_last_event_id("60", created=50) == 60
    with pytest.raises(Refusal):
        read_last_event_id("x", created=50)


@pytest.mark.parametrize("text", ["", "ann", "ann right", f"ann {DIGEST}\nbob {DIGEST}", f"a b {DIGEST}"])
def test_a_key_file_that_cannot_be_meant_is_refused(text: str):
    with pytest.raises(BadKeyFile):
        read_key_file(text)


def test_batches_can_be_asked_for_by_what_they_are():
    query = {"status": "failed,expired", "metadata[a[b]]": "c", "created_after": "0", "created_before": "253402300799"}
    params = parse_list_batches(query)
    assert (params.statuses, params.metadata) == (("failed", "expired"), {"a[b]": "c"})
    assert (
        params.created_after
        and params.created_before
        and (params.created_after.year, params.created_before.year) == (1970, 9999)
    )


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"status": ""},
        {"created_after": "yesterday"},
        {"created_before": "253402300800"},
        {f"metadata[{n}]": "x" for n in range(17)},
    ],
)
def test_a_filter_that_can_match_nothing_is_refused(query: dict[str, str]):
    with pytest.raises(Refusal):
        parse_list_batches(query)


def test_a_tail_is_asked_for_by_byte_and_never_by_line():
    assert parse_tail_results({"limit": "3"}) is None
    assert parse_tail_results({"follow": "true"}) == TailResultsParams(0, is_following=True)
    assert parse_tail_results({"after_byte": "9"}) == TailResultsParams(9, is_following=False)
    for query in ({"follow": "yes"}, {"after_byte": "-1"}, {"follow": "true", "limit": "3"}, {"after_byte": "1" * 18}):
        with pytest.raises(Refusal):
            parse_tail_results(query)
