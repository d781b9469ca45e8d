import gzip

import pytest
from hypothesis import given, strategies as st

from vbatch.gateway.core.files import uploads
from vbatch.gateway.core.refusals import Refusal


def look_at(*pieces: bytes) -> bool:
    look = uploads.JsonlProbe()
    for piece in pieces:
        look.feed(piece)
    return look.is_jsonl


@pytest.mark.parametrize("content", [b"{}", b"\n \r\n\t{", b"\xef\xbb\xbf{", b"\xef\xbb\xbf\n{"])
def test_a_file_whose_first_line_opens_an_object_could_be_jsonl(content: bytes):
    assert look_at(content)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"[{}]", b"a{", b"\xef\xbb\xbf", b"\xef{", b"PK\x03\x04"])
def test_other_content_is_not_jsonl(content: bytes):
    assert not look_at(content)


@pytest.mark.parametrize(
    ("content", "packing"),
    [(gzip.compress(b"{}", mtime=0), "gzip"), (b"\x28\xb5\x2f\xfd\0", "Zstandard"), (b"PK\x03\x04", "ZIP")],
)
def test_a_batch_file_that_is_an_archive_is_told_to_be_unpacked(content: bytes, packing: str):
    look = uploads.JsonlProbe()
    for at in range(len(content)):
        look.feed(content[at : at + 1])
    with pytest.raises(Refusal, match=rf"Must be \.jsonl\. This file is a {packing} archive: unpack it"):
        uploads.check_content("batch", look)


@given(st.binary(max_size=12) | st.just(b"\xef\xbb\xbf \n{}"))
def test_the_look_does_not_depend_on_how_the_bytes_arrive(content: bytes):
    assert look_at(*(content[at : at + 1] for at in range(len(content)))) == look_at(content)


def test_a_batch_file_may_be_smaller_than_others():
    uploads.check_size(209_715_200, "batch")
    uploads.check_size(209_715_201, None)  # the purpose may still follow
    uploads.check_size(536_870_912, "user_data")
    for size, purpose in [(209_715_201, "batch"), (536_870_913, "user_data"), (536_870_913, None)]:
        with pytest.raises(Refusal, match="File is too large"):
            uploads.check_size(size, purpose)


def test_a_server_may_be_set_to_take_larger_batch_files():
    larger = 8 << 30
    uploads.check_size(larger, "batch", larger)
    uploads.check_size(larger, None, larger)  # the purpose may still follow
    for size, purpose in [(larger + 1, "batch"), (536_870_913, "user_data"), (larger + 1, None)]:
        with pytest.raises(Refusal, match="File is too large"):
            uploads.check_size(size, purpose, larger)


def test_an_unknown_purpose_is_told_all_known_ones():
    with pytest.raises(Refusal) as refused:
        uploads.read_purpose({"purpose": "world_domination"})
    assert refused.value.message == (
        "'world_domination' is not one of ['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals']"
        " - 'purpose'"
    )


def test_a_batch_file_lives_thirty_days_and_others_for_ever():
    assert uploads.expiry_of({}, "batch") == 2_592_000
    assert uploads.expiry_of({}, "vision") is None


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"expires_after[seconds]": "3600"}, "expires_after[anchor]", "missing_required_parameter"),
        ({"expires_after[anchor]": "created_at"}, "expires_after[seconds]", "missing_required_parameter"),
        (
            {"expires_after[anchor]": "x", "expires_after[seconds]": "3600"},
            "expires_after[anchor]",
            "invalid_value",
        ),
        (
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"},
            "expires_after[seconds]",
            "integer_below_min_value",
        ),
        (
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "1e4"},
            "expires_after[seconds]",
            "invalid_type",
        ),
    ],
)
def test_an_expiry_in_form_fields_is_checked(fields: dict[str, str], param: str, code: str):
    with pytest.raises(Refusal) as refused:
        uploads.expiry_of(fields, "batch")
    assert (refused.value.param, refused.value.answer.code) == (param, code)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("größe.jsonl", "größe.jsonl"),
        ("../../etc/passwd", "passwd"),
        ("C:\\files\\in.jsonl", "in.jsonl"),
        ("a\r\nb\0", "ab"),
        ("", "upload"),
        ("x" * 300, "x" * 255),
        ("say %22hi%22", 'say "hi"'),
    ],
)
def test_a_filename_is_the_last_part_printable_and_bounded(given_name: str, kept: str):
    assert uploads.clean_filename(given_name) == kept
