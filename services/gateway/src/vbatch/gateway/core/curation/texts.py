"""What was asked and what was answered, as chat messages: from the bytes of a request line and of an output line."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import msgspec

from vbatch.contracts.lines import OutputLine, RequestLine
from vbatch.contracts.previews import Json, message_text

USER, SYSTEM, ASSISTANT = "user", "system", "assistant"


class Unusable(Exception):
    """A line that cannot become an example; the text is the reason by which it is counted."""


class ChatMessage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message of a conversation; an assistant's message may lack either `content` or `tool_calls`."""

    role: str
    content: str | None = None
    tool_calls: list[Json] | None = None


class RequestBody(msgspec.Struct, frozen=True):
    """The part of a request that a model learns from. Unknown fields, such as the temperature, are ignored."""

    model: str = ""
    messages: list[msgspec.Raw] | None = None
    prompt: str | list[object] | None = None
    input: str | list[object] | None = None
    instructions: str | None = None
    tools: list[Json] | None = None
    response_format: Json | None = None
    structured_outputs: Json | None = None
    guided_choice: list[object] | None = None


class Choice(msgspec.Struct, frozen=True):
    """A choice of a chat or a text completion."""

    message: ChatMessage | None = None
    text: str | None = None


class AnswerBody(msgspec.Struct, frozen=True):
    choices: list[Choice] | None = None
    output: list[Json] | None = None


_REQUEST_LINES = msgspec.json.Decoder(RequestLine)
_REQUEST_BODIES = msgspec.json.Decoder(RequestBody)
_OUTPUT_LINES = msgspec.json.Decoder(OutputLine)
_ANSWER_BODIES = msgspec.json.Decoder(AnswerBody)
_ENCODER = msgspec.json.Encoder()
_SORTED = msgspec.json.Encoder(order="deterministic")


def request_of(line: bytes) -> tuple[str, RequestBody]:
    """Return the custom_id and the body of a request line. Raises Unusable."""
    try:
        request = _REQUEST_LINES.decode(line)
        return request.custom_id, _REQUEST_BODIES.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("request is not readable") from error


def prompt_of(body: RequestBody) -> list[msgspec.Raw]:
    """Return the conversation up to the answer. Raises Unusable for requests without text, such as embeddings of
    tokens."""
    if body.messages:
        return body.messages
    text = body.prompt or body.input
    if not isinstance(text, str):
        raise Unusable("prompt is not text")
    first = [ChatMessage(role=SYSTEM, content=body.instructions)] if body.instructions else []
    messages = [*first, ChatMessage(role=USER, content=text)]
    return [msgspec.Raw(_ENCODER.encode(message)) for message in messages]


def answer_of(line: bytes) -> ChatMessage:
    """Return the assistant's message of an output line. Raises Unusable if the message is empty."""
    try:
        output = _OUTPUT_LINES.decode(line)
        if output.response is None:
            raise Unusable("answer is an error")
        body = _ANSWER_BODIES.decode(output.response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("answer is not readable") from error
    message = _first_choice(body) if body.choices else _first_output(body)
    if message is None or not (message.content or message.tool_calls):
        raise Unusable("answer is not text")
    return message


def choices_of(body: RequestBody) -> tuple[str, tuple[str, ...]]:
    """Return the answers that a request allows: the field of a JSON schema that has an enum, or vLLM's structured
    choices.

    Without a field the answer itself is the choice; if both are empty, any answer is allowed.
    """
    plain = body.guided_choice or (body.structured_outputs or {}).get("choice")
    if isinstance(plain, list):
        return "", tuple(str(choice) for choice in plain)
    schema = ((body.response_format or {}).get("json_schema") or {}).get("schema")  # type: ignore[attr-defined]  # JSON
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, about in properties.items() if isinstance(properties, dict) else ():
        if isinstance(about, dict) and isinstance(about.get("enum"), list):
            return str(name), tuple(str(choice) for choice in about["enum"])
    return "", ()


def prompt_key(prompt: Sequence[msgspec.Raw], tools: list[Json] | None) -> str:
    """Return a key that is the same for the same conversation, however its JSON is written."""
    decoded = [msgspec.json.decode(message) for message in prompt]
    return hashlib.sha256(_SORTED.encode([decoded, tools])).hexdigest()


def user_text(prompt: Sequence[msgspec.Raw]) -> str:
    """Return what users say in a conversation; the system prompt is left out because it does not tell prompts apart."""
    messages = [msgspec.json.decode(message) for message in prompt]
    texts = [message_text(each) for each in messages if isinstance(each, dict) and each.get("role") == USER]
    return "\n".join(text for text in texts if text)


def edited_answer(edited: str | None, answer: ChatMessage) -> ChatMessage | None:
    """Return the better answer; None if it differs only in spaces or in how characters are composed."""
    if edited is None or folded(edited) == folded(answer.content or ""):
        return None
    return ChatMessage(role=ASSISTANT, content=edited)


def folded(text: str) -> str:
    """Return the text without invisible differences: composed characters (NFC), single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _first_choice(body: AnswerBody) -> ChatMessage | None:
    assert body.choices is not None
    choice = body.choices[0]  # vLLM writes an empty array of calls if the model calls nothing
    if choice.message is not None:
        return ChatMessage(role=ASSISTANT, content=choice.message.content, tool_calls=choice.message.tool_calls or None)
    return ChatMessage(role=ASSISTANT, content=choice.text) if choice.text is not None else None


def _first_output(body: AnswerBody) -> ChatMessage | None:
    texts = [message_text(item) for item in body.output or [] if item.get("type", "message") == "message"]
    said = "\n".join(text for text in texts if text)
    return ChatMessage(role=ASSISTANT, content=said) if said else None
