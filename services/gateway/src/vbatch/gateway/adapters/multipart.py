"""Parses a multipart form as it streams: the file's bytes are passed on in pieces; the fields are few and small."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Set
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vbatch.gateway.core.files.uploads import FILENAME_DEFAULT, clean_filename
from vbatch.gateway.core.refusals import Reason, Refusal, parameter_missing, parameter_unknown

FIELD_BYTES_MAX = 1_024
FORM_BYTES_MAX = 65_536
"""The most bytes of a form without its file: fields, headers, boundaries, and anything before and after them."""
_EXTENDED_FILENAME = re.compile(r"filename\*=utf-8'[^']*'([^;]+)", re.IGNORECASE)


def _unreadable(why: str) -> Refusal:
    return Refusal(Reason.BODY_UNREADABLE, f"We could not parse the multipart body of your request: {why}.")


class MultipartForm:
    """Implements flows.upload.Form. Parts may come in any order; `file_field` holds the bytes."""

    def __init__(
        self, content_type: str | None, stream: AsyncIterator[bytes], *, file_field: str, other_fields: Set[str]
    ) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise _unreadable("expected Content-Type multipart/form-data with a boundary")
        self.fields: dict[str, str] = {}
        self.filename = FILENAME_DEFAULT
        self._stream = stream
        self._overhead_bytes = 0
        self._file_field = file_field
        self._parts = _Parts(self, file_field, other_fields)
        try:
            self._parser = MultipartParser(options[b"boundary"], self._parts.callbacks())  # type: ignore[arg-type]  # its TypedDict has every key optional
        except FormParserError as error:
            raise _unreadable(str(error)) from error

    async def file_pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file as they arrive. Raises Refusal."""
        async for chunk in self._stream:
            self._feed(chunk)
            pieces = self._parts.take_pieces()
            self._count_overhead(len(chunk) - sum(map(len, pieces)))
            for piece in pieces:
                yield piece
        if not self._parts.is_complete:
            raise _unreadable("the closing boundary is missing")
        if not self._parts.has_file:
            raise parameter_missing(self._file_field)

    def _count_overhead(self, byte_count: int) -> None:
        self._overhead_bytes += byte_count
        if self._overhead_bytes > FORM_BYTES_MAX:
            raise _unreadable(f"it has more than {FORM_BYTES_MAX} bytes besides its file")

    def _feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _unreadable(str(error)) from error


class _Parts:
    """Receives the parser's callbacks, part by part."""

    def __init__(self, form: MultipartForm, file_field: str, other_fields: Set[str]) -> None:
        self.is_complete = False
        self.has_file = False
        self._form = form
        self._file_field = file_field
        self._other_fields = other_fields
        self._pieces: list[bytes] = []
        self._header_name = self._header_value = b""
        self._disposition = ""
        self._name = ""
        self._value = b""

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_content,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def take_pieces(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _begin(self) -> None:
        self._disposition = self._name = ""
        self._value = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value.decode("latin-1")
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == self._file_field:
            self._begin_file(options.get(b"filename"))
        elif self._name not in self._other_fields:
            raise parameter_unknown(self._name)

    def _begin_file(self, filename: bytes | None) -> None:
        if self.has_file:
            raise _unreadable("it has more than one file")
        self.has_file = True
        extended = _EXTENDED_FILENAME.search(self._disposition)  # .NET sends this form of the name
        if extended:
            self._form.filename = clean_filename(unquote(extended[1]))
        elif filename:
            self._form.filename = clean_filename(filename.decode("utf-8", "replace"))

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file_field:
            self._pieces.append(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > FIELD_BYTES_MAX:
            raise _unreadable(f"field '{self._name}' is longer than {FIELD_BYTES_MAX} bytes")

    def _end(self) -> None:
        if self._name != self._file_field:
            self._form.fields[self._name] = self._value.decode("utf-8", "replace")

    def _complete(self) -> None:
        self.is_complete = True
