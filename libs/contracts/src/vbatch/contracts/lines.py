"""The JSONL lines of OpenAI's Batch API: request lines as they arrive, output lines as they are written."""

from __future__ import annotations

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
    """The line for an outcome. It ends in a newline and is safe for every way of splitting text into lines."""
    response = None
    if outcome.status_code is not None:
        body = msgspec.Raw(single_line(bytes(outcome.body)))
        response = ResponsePart(outcome.status_code, engine_request_id(batch_id, outcome.line), body)
    line = OutputLine(batch_request_id(batch_id, outcome.line), outcome.custom_id, response, outcome.error)
    return single_line(msgspec.json.encode(line)) + b"\n"


def never_ran_line(batch_id: BatchId, line: int, custom_id: str, fault: RequestFault, message: str = "") -> bytes:
    """The error line of a request without an outcome: cancelled or expired before it ran, or set aside."""
    error = RequestError(code=fault, message=message or REQUEST_FAULT_MESSAGES[fault])
    return output_line(batch_id, Outcome(line=line, custom_id=custom_id, error=error))


def single_line(document: bytes) -> bytes:
    """The same JSON document without any byte sequence that some reader takes for a line end."""
    for separator, escape in LINE_SEPARATORS:
        if separator in document:
            document = document.replace(separator, escape)
    return document
