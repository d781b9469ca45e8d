from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from vbatch.gateway.adapters.multipart import MultipartForm
from vbatch.gateway.core.files.uploads import FIELDS
from vbatch.gateway.core.refusals import Refusal

TYPE = "multipart/form-data; boundary=b"
CONTENT = b'{"custom_id":"a"}\n' * 3 + b"\r\n--not a boundary\r\n"
PURPOSE = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
END = b"--b--\r\n"


def file_part(disposition: bytes = b'name="file"; filename="in.jsonl"') -> bytes:
    return b"--b\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + CONTENT + b"\r\n"


async def read(body: bytes, step: int = 1 << 20) -> tuple[MultipartForm, bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for at in range(0, len(body), step):
            yield body[at : at + step]

    form = MultipartForm(TYPE, stream(), file_field="file", other_fields=FIELDS)
    return form, b"".join([piece async for piece in form.file_pieces()])


@pytest.mark.parametrize("step", [1, 2, 7, 64, 10_000])
@pytest.mark.parametrize("body", [PURPOSE + file_part() + END, file_part() + PURPOSE + END])
async def test_a_form_reads_the_same_however_it_arrives(body: bytes, step: int):
    form, content = await read(body, step)
    assert (form.fields, form.filename, content) == ({"purpose": "batch"}, "in.jsonl", CONTENT)


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('name="file"; filename="größe.jsonl"'.encode(), "größe.jsonl"),
        (b"name=\"file\"; filename*=utf-8''gr%C3%B6%C3%9Fe.jsonl", "größe.jsonl"),
        (b"name=\"file\"; filename*=UTF-8'en'x%20y.jsonl", "x y.jsonl"),
        (b'name="file"', "upload"),
        (b"name=file; filename=upload", "upload"),
    ],
)
async def test_filenames_come_in_several_forms(disposition: bytes, filename: str):
    form, _ = await read(PURPOSE + file_part(disposition) + END)
    assert form.filename == filename


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (PURPOSE + file_part(), "the closing boundary is missing"),
        (b"", "the closing boundary is missing"),
        (PURPOSE + END, "Missing required parameter: 'file'."),
        (file_part() + file_part() + END, "more than one file"),
        (b"nonsense" * 10, "could not parse the multipart body"),
        (file_part(b'name="speed"') + END, "Unknown parameter: 'speed'."),
        (PURPOSE.replace(b"batch", b"x" * 2000) + END, "longer than 1024 bytes"),
    ],
)
async def test_a_form_that_cannot_be_meant_is_refused(body: bytes, words: str):
    with pytest.raises(Refusal) as refused:
        await read(body)
    assert words in refused.value.message


@pytest.mark.parametrize("kind", [None, "", "application/json", "multipart/form-data"])
async def test_another_content_type_is_refused(kind: str | None):
    async def stream() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(Refusal):
        MultipartForm(kind, stream(), file_field="file", other_fields=FIELDS)


@given(content=st.binary(max_size=300), step=st.integers(1, 50), is_file_first=st.booleans(), name=st.text(max_size=20))
async def test_any_bytes_come_through_as_they_are(content: bytes, step: int, is_file_first: bool, name: str):
    if b"\r\n--b" in b"\r\n" + content:
        return  # a client would have chosen another boundary
    plain = "".join(char for char in name if char.isprintable() and char not in '\\"%/;') or "x"
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{plain}"\r\n\r\n'.encode()
    parts = [PURPOSE, head + content + b"\r\n"]
    form, found = await read(b"".join(reversed(parts) if is_file_first else parts) + END, step)
    assert (found, form.fields, form.filename) == (content, {"purpose": "batch"}, plain)


@settings(max_examples=300)
@given(data=st.data(), step=st.integers(1, 50))
async def test_a_form_that_is_damaged_anywhere_is_read_or_refused_and_nothing_else(data: st.DataObject, step: int):
    body = bytearray(PURPOSE + file_part() + END)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    with suppress(Refusal):
        await read(bytes(body), step)
