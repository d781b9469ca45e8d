"""A request of the interactive lane: what is read of its body, why it is refused, and how a broken stream ends.

The body goes to the engine as the client wrote it; only the fields that decide where it goes are read here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from vbatch.contracts.body_reach import BeyondTrust, check_within
from vbatch.contracts.endpoints import RESPONSES
from vbatch.contracts.ids import ModelId
from vbatch.contracts.json_faults import json_fault
from vbatch.contracts.models import ModelDefinition
from vbatch.gateway.core.refusals import (
    Reason,
    Refusal,
    endpoint_unserved,
    no_such_model,
    parameter_missing,
    type_invalid,
)

EVENT_BYTES_MAX = 8 << 20
"""The largest server-sent event that is passed on."""
BLANK_LINES = (b"\n\n", b"\r\n\r\n")
DONE = b"data: [DONE]"
RESPONSE_ENDS = (b'"type":"response.completed"', b'"type":"response.incomplete"', b'"type":"response.failed"')
ENDS = (DONE, b"event: response.completed", b"event: response.incomplete", b"event: response.failed", *RESPONSE_ENDS)
"""The events by which a stream says that it is complete."""
ENGINE_LOST_MESSAGE = "The engine stopped while it answered this request."


class _Body(msgspec.Struct):
    model: object = None
    stream: object = None


_DECODER = msgspec.json.Decoder(_Body)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class InteractiveRequest(msgspec.Struct, frozen=True):
    """`body` is what the client wrote."""

    endpoint: str
    model: ModelId
    body: bytes
    is_streamed: bool


def parse_interactive(raw: bytes, endpoint: str, models: Mapping[ModelId, ModelDefinition]) -> InteractiveRequest:
    """Read the fields of a body that decide where it goes. Raises Refusal."""
    body = _read(raw)
    model = _model(body.model)
    if body.stream is not None and not isinstance(body.stream, bool):
        raise type_invalid("stream", "a boolean", body.stream)
    definition = models.get(model)
    if definition is None:
        raise no_such_model(model)
    if endpoint not in definition.endpoints:
        raise endpoint_unserved(model, endpoint)
    _check_trust(raw, definition)
    return InteractiveRequest(endpoint, definition.id, raw, is_streamed=body.stream is True)


def _model(given: object) -> ModelId:
    """Raises Refusal."""
    if given is None or given == "":
        raise parameter_missing("model")
    if not isinstance(given, str):
        raise type_invalid("model", "a string", given)
    return ModelId(given)


def _read(raw: bytes) -> _Body:
    try:
        raw.decode()
        return _DECODER.decode(raw)
    except msgspec.ValidationError as error:
        raise Refusal(Reason.BODY_UNREADABLE, "The body of your request must be a JSON object.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"We could not parse the JSON body of your request. {json_fault(raw, error)}"
        raise Refusal(Reason.BODY_UNREADABLE, message) from error


def _check_trust(raw: bytes, definition: ModelDefinition) -> None:
    """Refuse what would be refused in a line of a batch. Most bodies name neither media nor a template."""
    if b"_url" not in raw and b"chat_template" not in raw and b"\\u00" not in raw:
        return
    try:
        check_within(definition.trust, _FIELDS.decode(raw))
    except BeyondTrust as error:
        raise Refusal(Reason.VALUE_INVALID, error.message, error.field) from error


class EventSplitter:
    """Passes on whole events only, so that a stream that breaks can end with an event of its own."""

    def __init__(self) -> None:
        self._rest = b""
        self.is_complete = False
        """Whether the stream has said that it is complete."""

    def feed(self, piece: bytes) -> bytes:
        """Return the events that are complete now. Raises ValueError for an event that is too long."""
        content = self._rest + piece
        end = max((content.rfind(blank) + len(blank) for blank in BLANK_LINES if blank in content), default=0)
        whole, self._rest = content[:end], content[end:]
        if len(self._rest) > EVENT_BYTES_MAX:
            raise ValueError(f"an event of the engine is larger than {EVENT_BYTES_MAX >> 20} MiB")
        self.is_complete = self.is_complete or any(mark in whole for mark in ENDS)
        return whole


def error_event(refusal: Refusal, endpoint: str) -> bytes:
    """Return the last event of a stream that cannot continue, as OpenAI sends it; its clients raise an error."""
    envelope = refusal.envelope()
    if endpoint != RESPONSES:
        return b"data: " + msgspec.json.encode(envelope) + b"\n\n"
    error = envelope["error"]
    flat = {"type": "error", "code": error["code"], "message": error["message"], "param": error["param"]}
    return b"event: error\ndata: " + msgspec.json.encode(flat | {"error": error, "sequence_number": 0}) + b"\n\n"
