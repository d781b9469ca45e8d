"""Tool calls as the chat templates of models read them: the arguments are an object, and not its text as in the API of
OpenAI.

Source: "Tool use" in the documentation of Transformers, which TRL follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from vbatch.contracts.previews import Json
from vbatch.gateway.core.curation.texts import ChatMessage

Messages = Sequence[msgspec.Raw | ChatMessage]

_KEY = b'"tool_calls"'
_ENCODER = msgspec.json.Encoder()


class ArgumentsUnreadable(Exception):
    """The arguments of a call are not a JSON object: the model wrote something else, or was cut; or the message holds a
    number that this decoder refuses."""


def with_decoded_calls(messages: Messages) -> Messages:
    """Return the messages with the arguments of all calls decoded. Raises ArgumentsUnreadable."""
    return [_decoded(message) for message in messages]


def _decoded(message: msgspec.Raw | ChatMessage) -> msgspec.Raw | ChatMessage:
    if isinstance(message, ChatMessage):
        said = message.tool_calls
        return msgspec.structs.replace(message, tool_calls=_calls(said)) if said else message
    if _KEY not in bytes(message):
        return message
    decoded = _fields(message)
    calls = decoded.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return msgspec.Raw(_ENCODER.encode(decoded | {"tool_calls": _calls(calls)}))


def _calls(calls: Sequence[object]) -> list[Json]:
    return [_call(call) for call in calls]


def _call(call: object) -> Json:
    """Return the call; arguments that are an object already stay as they are."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise ArgumentsUnreadable("a call names no function")
    arguments = function.get("arguments", "")
    decoded = _object(arguments) if isinstance(arguments, str) else arguments
    return call | {"function": function | {"arguments": decoded}}


def _fields(message: msgspec.Raw) -> Json:
    try:
        return msgspec.json.decode(message, type=Json)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArgumentsUnreadable("a message with calls cannot be decoded") from error


def _object(text: str) -> Json:
    try:
        return msgspec.json.decode(text or "{}", type=Json)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ArgumentsUnreadable("the arguments of a call are no JSON object") from error
