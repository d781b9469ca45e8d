"""Reads one line of an input file and checks it against the rules of its batch; refuses a bad line with a reason.

A good line costs one decode that skips its content; only a bad line is read twice, to name its fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import msgspec

from vbatch.contracts.bounds import cut, fits
from vbatch.contracts.endpoints import ENDPOINT_TITLES, REQUIRED_BODY_FIELDS
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import ModelId
from vbatch.contracts.json_faults import json_fault, loads, with_whole_characters
from vbatch.contracts.limits import CUSTOM_ID_BYTES_MAX

ABSENT = msgspec.Raw(b"")
_HALF = re.compile("[\ud800-\udfff]")
UNPARSEABLE = "This line is not parseable as valid JSON."
NULL = b"null"
NULL_RAW = msgspec.Raw(NULL)
QUOTE_BYTES_MAX = 256
"""The limit on a client's text quoted in the message of a fault; text that is cut says so."""


class Body(msgspec.Struct, frozen=True):
    """The fields that validation and the order read. If a key occurs twice, the last one counts, as in Python's
    json."""

    model: str
    stream: bool | None = None
    messages: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    query: msgspec.Raw = ABSENT
    queries: msgspec.Raw = ABSENT
    documents: msgspec.Raw = ABSENT
    items: msgspec.Raw = ABSENT
    text_1: msgspec.Raw = ABSENT
    text_2: msgspec.Raw = ABSENT
    data_1: msgspec.Raw = ABSENT
    data_2: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    instructions: msgspec.Raw = ABSENT
    max_tokens: msgspec.Raw = ABSENT
    max_completion_tokens: msgspec.Raw = ABSENT
    max_output_tokens: msgspec.Raw = ABSENT
    chat_template: msgspec.Raw = ABSENT
    chat_template_kwargs: msgspec.Raw = ABSENT


class Line(msgspec.Struct, frozen=True):
    """A line of an input file, as far as validation reads it."""

    custom_id: str
    method: str
    url: str
    body: Body


class _Named(msgspec.Struct, frozen=True):
    """The only field read from a line that is already at fault."""

    custom_id: str


_LINE = msgspec.json.Decoder(Line)
_NAMED = msgspec.json.Decoder(_Named)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Unfit(Exception):
    """A line is refused; the exception carries code, message and param."""

    def __init__(self, code: FileFault, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def parse_line(raw: bytes) -> Line:
    """Parse one line. Raises Unfit.

    Bytes that are not UTF-8 are refused wherever they are: msgspec does not look into what it skips, and the engine
    gets the body as it is.
    """
    try:
        if not raw.isascii():
            raw.decode()
        return _LINE.decode(raw)
    except msgspec.ValidationError as error:
        raise _diagnose(raw, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if (mended := with_whole_characters(raw)) != raw and not isinstance(error, UnicodeDecodeError):
            return _mended_line(raw, mended)
        raise _no_json(raw, error) from error


def _mended_line(raw: bytes, mended: bytes) -> Line:
    """The line with U+FFFD for cut characters, as the engine will get it. Raises Unfit, also when the cut character is
    in the custom_id: its author would not recognise the answer by the changed id."""
    line = parse_line(mended)
    try:
        half = _half_of_custom_id(raw)
    except RecursionError as error:  # this decoder reads a little less deep than that of the line
        raise _no_json(raw, error) from error
    if half is not None:
        message = f"Invalid 'custom_id': {half} is half of a surrogate pair, as when an emoji was cut in two."
        raise Unfit(FileFault.INVALID_REQUEST, message, "custom_id")
    return line


def _half_of_custom_id(raw: bytes) -> str | None:
    """The escape in the custom_id that is half of a surrogate pair; the line is valid JSON except for such halves."""
    line = cast(dict[str, str], loads(raw))
    half = _HALF.search(line["custom_id"])
    return None if half is None else f"\\u{ord(half[0]):04x}"


def _no_json(raw: bytes, error: Exception) -> Unfit:
    """OpenAI's sentence, followed by the place of the fault."""
    return Unfit(FileFault.INVALID_JSON_LINE, f"{UNPARSEABLE} {json_fault(raw, error)}")


def custom_id_of(raw: bytes) -> str:
    """The custom_id of a line, whatever else is wrong with the line; empty when it has none."""
    try:
        mended = with_whole_characters(raw)
        custom_id = _NAMED.decode(mended).custom_id
        return "" if mended != raw and _half_of_custom_id(raw) else custom_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def check_envelope(line: Line, endpoint: str) -> None:
    """Check the fields around the body. Raises Unfit."""
    if not line.custom_id:
        raise _missing("custom_id")
    if not fits(line.custom_id, CUSTOM_ID_BYTES_MAX):
        message = f"Invalid 'custom_id': string too long. At most {CUSTOM_ID_BYTES_MAX} bytes of UTF-8 are possible."
        raise Unfit(FileFault.INVALID_REQUEST, message, "custom_id")
    if line.method != "POST":
        message = f"The method '{cut(line.method, QUOTE_BYTES_MAX)}' is not supported. Only POST is."
        raise Unfit(FileFault.INVALID_METHOD, message, "method")
    if line.url != endpoint:
        message = "The URL provided for this request does not match the batch endpoint."
        raise Unfit(FileFault.INVALID_URL, message, "url")


def check_body(body: Body, model: ModelId, endpoint: str, models: Mapping[ModelId, tuple[str, ...]]) -> None:
    """Check a body against its endpoint and the model that runs it. `models` has the endpoints of each known model.
    Raises Unfit."""
    if not model:
        raise _required("model")
    if (name := _missing_field(body, endpoint)) is not None:
        raise _required(name)
    if body.stream:
        message = f"{ENDPOINT_TITLES[endpoint]}: Streaming is not supported in the Batch API."
        raise Unfit(FileFault.STREAMING_UNSUPPORTED, message, "body.stream")
    endpoints = models.get(model)
    if endpoints is None:
        message = f"The provided model '{cut(model, QUOTE_BYTES_MAX)}' is not supported by the Batch API."
        raise Unfit(FileFault.MODEL_NOT_FOUND, message, "body.model")
    if endpoint not in endpoints:
        message = f"The model '{model}' does not serve {endpoint}."
        raise Unfit(FileFault.INVALID_REQUEST, message, "body.model")


def input_count(raw: msgspec.Raw) -> int:
    """How many inputs an embedding request has: texts or lists of tokens. A single text or list of tokens is one."""
    try:
        items = _LIST.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return 1  # a text, or a value that the engine will refuse
    return len(items) if items and bytes(items[0])[:1] in (b'"', b"[") else 1


def _missing_field(body: Body, endpoint: str) -> str | None:
    """The first missing field of the set of fields that is closest to complete; null counts as missing."""
    nearest: list[str] = []
    for names in REQUIRED_BODY_FIELDS[endpoint]:
        absent = [name for name in names if (value := getattr(body, name)) is ABSENT or value == NULL_RAW]
        if not absent:
            return None
        nearest = absent if not nearest or len(absent) < len(nearest) else nearest
    return nearest[0]


def _required(name: str) -> Unfit:
    return Unfit(FileFault.INVALID_REQUEST, f"{name.capitalize()} parameter is required.", f"body.{name}")


def _missing(name: str) -> Unfit:
    return Unfit(FileFault.MISSING_REQUIRED_PARAMETER, f"Missing required parameter: '{name}'.", name)


def _diagnose(raw: bytes, complaint: str) -> Unfit:
    """The first fault of a line that the decoder rejected. It may have stopped early, and the rest may not be JSON."""
    try:
        document = _object(raw)
        body = document.get("body", NULL)
        return _envelope_fault(document) or _body_fault(_object(body), complaint)
    except msgspec.ValidationError:  # OpenAI has one sentence for both invalid JSON and JSON that is not an object
        return Unfit(FileFault.INVALID_JSON_LINE, f"{UNPARSEABLE} A line must be an object.")
    except (msgspec.DecodeError, RecursionError) as error:
        if (mended := with_whole_characters(raw)) != raw:
            return _diagnose(mended, complaint)
        return _no_json(raw, error)


def _object(raw: bytes) -> dict[str, bytes]:
    """The values of a JSON object, as they are written."""
    return {name: bytes(value) for name, value in _OBJECT.decode(raw).items()}


def _envelope_fault(document: Mapping[str, bytes]) -> Unfit | None:
    for name in ("custom_id", "method", "url", "body"):
        value = document.get(name, NULL)
        if value == NULL:
            return _missing(name)
        start, word = (b"{", "an object") if name == "body" else (b'"', "a string")
        if not value.startswith(start):
            return Unfit(FileFault.INVALID_REQUEST, f"Invalid type for '{name}': expected {word}.", name)
    return None


def _body_fault(body: Mapping[str, bytes], complaint: str) -> Unfit:
    model = body.get("model", NULL)
    if model == NULL:
        return _required("model")
    if not model.startswith(b'"'):
        return Unfit(FileFault.INVALID_REQUEST, "Invalid type for 'model': expected a string.", "body.model")
    if body.get("stream", NULL) not in (b"true", b"false", NULL):
        return Unfit(FileFault.INVALID_REQUEST, "Invalid type for 'stream': expected a boolean.", "body.stream")
    return Unfit(FileFault.INVALID_REQUEST, complaint, "body")
