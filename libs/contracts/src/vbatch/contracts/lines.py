"""The JSONL lines of OpenAI's Batch API: request lines as they arrive, output lines as they are written."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vbatch.contracts.events import Outcome, RequestError
from vbatch.contracts.failures import REQUEST_FAULT_MESSAGES, RequestFault
from vbatch.contracts.ids import BatchId, batch_request_id, engine_request_id
from vbatch.contracts.json_faults import with_whole_characters

LINE_SEPARATORS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
    (b"\n", b" "),
    (b"\r", b" "),
)
"""The bytes that split a record for some reader. In JSON the first three occur only in strings, the others outside."""

BOM = b"\xef\xbb\xbf"


RawLine = tuple[int, int, bytes]
"""A request as it is in its file: its physical line, 1-based, the offset of its bytes, and its bytes. A bare tuple,
because validation makes one for every line of a file."""


class RequestLines:
    """Splits an input file, fed in blocks, into its request lines: physical, 1-based, split on \\n only.

    Blank lines count but hold no request; a byte order mark and white space at the end are not part of a line. Of a
    line longer than `bytes_max` bytes only the beginning is kept, but more than that, so that the reader knows it.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._line = 0
        self._offset = 0
        self._rest = b""
        self._cut_bytes = 0

    def feed(self, block: bytes) -> list[RawLine]:
        """Return the requests on the lines that end in this block."""
        *whole, rest = (self._rest + block).split(b"\n")
        requests = self._requests(whole)
        self._rest = rest
        if len(rest) > self._bytes_max:
            self._rest = rest[: self._bytes_max + 1]
            self._cut_bytes += len(rest) - len(self._rest)
        return requests

    def end(self) -> list[RawLine]:
        """Return the request after the last line end, if any."""
        rest, self._rest = self._rest, b""
        return self._requests([rest])

    def _requests(self, raws: Sequence[bytes]) -> list[RawLine]:
        requests = []
        line, offset = self._line, self._offset
        for raw in raws:
            line += 1
            start, offset = offset, offset + len(raw) + self._cut_bytes + 1
            self._cut_bytes = 0
            if line == 1 and raw.startswith(BOM):
                raw, start = raw[len(BOM) :], start + len(BOM)
            if raw := raw.rstrip():
                requests.append((line, start, raw))
        self._line, self._offset = line, offset
        return requests


class RequestLine(msgspec.Struct, frozen=True):
    """One request as the client wrote it; `body` keeps its bytes."""

    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class ResponsePart(msgspec.Struct, frozen=True):
    status_code: int
    request_id: str
    body: msgspec.Raw


class OutputLine(msgspec.Struct, frozen=True):
    """One line of an output or error file; all four keys are always present."""

    id: str
    custom_id: str
    response: ResponsePart | None
    error: RequestError | None


_REQUEST_DECODER = msgspec.json.Decoder(RequestLine)


def parse_request_line(raw: bytes) -> RequestLine:
    """Parse a line that validation has passed; a half surrogate pair becomes U+FFFD (ADR 16). Raises
    msgspec.DecodeError for any other line."""
    try:
        return _REQUEST_DECODER.decode(raw)
    except msgspec.DecodeError:
        return _REQUEST_DECODER.decode(with_whole_characters(raw))


def output_line(batch_id: BatchId, outcome: Outcome) -> bytes:
    """Return the line for an outcome. It ends in a newline and is safe for every way of splitting text into lines."""
    response = None
    if outcome.status_code is not None:
        body = msgspec.Raw(single_line(bytes(outcome.body)))
        response = ResponsePart(outcome.status_code, engine_request_id(batch_id, outcome.line), body)
    line = OutputLine(batch_request_id(batch_id, outcome.line), outcome.custom_id, response, outcome.error)
    return single_line(msgspec.json.encode(line)) + b"\n"


def never_ran_line(batch_id: BatchId, line: int, custom_id: str, fault: RequestFault, message: str = "") -> bytes:
    """Return the error line of a request without an outcome: cancelled or expired before it ran, or set aside."""
    error = RequestError(code=fault, message=message or REQUEST_FAULT_MESSAGES[fault])
    return output_line(batch_id, Outcome(line=line, custom_id=custom_id, error=error))


def single_line(document: bytes) -> bytes:
    """Return the same JSON document without any byte sequence that some reader takes for a line end."""
    for separator, escape in LINE_SEPARATORS:
        if separator[0] in document and separator in document:  # the first byte alone is found ten times as fast
            document = document.replace(separator, escape)
    return document
