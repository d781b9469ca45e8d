"""The question of a request and the text of an answer, as the beginning of a text. Tolerant: texts of others may be
anything."""

from __future__ import annotations

import msgspec

PREVIEW_CHARS_MAX = 400
NUMBERS_SHOWN = 4

Json = dict[str, object]
"""A decoded object from the engine or the client, whose shape is not guaranteed."""


def request_preview(line: bytes) -> str | None:
    """Return the preview of an input line: the last message, the prompt or the input. None for a line that is not a
    request of a known kind."""
    body = _object(_decoded(line), "body")
    text = request_text(body) if body is not None else None
    return _short(text) if text is not None else None


def answer_preview(line: bytes) -> str | None:
    """Return the preview of an output line: what the model answered, or why there is no answer."""
    decoded = _decoded(line)
    text = answer_text(decoded) if decoded is not None else None
    return _short(text) if text is not None else None


def request_text(body: Json) -> str | None:
    """Return the question of a request body."""
    messages = body.get("messages")
    if isinstance(messages, list):
        return next((text for message in reversed(messages) if (text := message_text(message))), None)
    for name in ("prompt", "input", "query", "queries", "text_1"):
        if name in body:
            return content_text(body[name])
    return None


def answer_text(line: Json) -> str | None:
    """Return the answer of an output line, or the message of its error."""
    error = _object(line, "error")
    if error is not None:
        return _string(error.get("message"))
    body = _object(_object(line, "response"), "body")
    return body_text(body) if body is not None else None


def body_text(body: Json) -> str | None:
    """Return the answer in an engine's body, for every endpoint and for errors."""
    error = body.get("error")
    if isinstance(error, dict):
        return _string(error.get("message"))
    if error is None and isinstance(body.get("message"), str) and body.get("object") == "error":
        return _string(body["message"])
    choices, output = body.get("choices"), body.get("output")
    if isinstance(choices, list):
        return _choices_text(choices)
    if isinstance(output, list):
        return _output_text(output)
    return _numbers_text(body)


def message_text(message: object) -> str | None:
    return content_text(message.get("content")) if isinstance(message, dict) else None


def content_text(content: object) -> str | None:
    """Return a string, or the parts of a content. A part that is not text is named by its type."""
    match content:
        case str():
            return content
        case list():
            parts = [part if isinstance(part, str) else _part_text(part) for part in content]
            return "\n".join(part for part in parts if part) or None
        case _:
            return None


def _part_text(part: object) -> str | None:
    if not isinstance(part, dict):
        return None
    text = part.get("text")
    return text if isinstance(text, str) else f"[{part['type']}]" if isinstance(part.get("type"), str) else None


def _choices_text(choices: list[object]) -> str | None:
    for choice in choices:
        if not isinstance(choice, dict):
            continue
        if isinstance(choice.get("text"), str):
            return _string(choice["text"])
        message = choice.get("message")
        if isinstance(message, dict):
            return message_text(message) or _calls_text(message) or _string(message.get("refusal")) or ""
    return None


def _calls_text(message: Json) -> str | None:
    """Return `name(arguments)` for each tool that the model wants to call."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return None
    functions = [
        call["function"] for call in calls if isinstance(call, dict) and isinstance(call.get("function"), dict)
    ]
    return "\n".join(f"{function.get('name')}({function.get('arguments')})" for function in functions) or None


def _output_text(output: list[object]) -> str | None:
    texts = [content_text(item.get("content")) for item in output if isinstance(item, dict)]
    return "\n".join(text for text in texts if text) or None


def _numbers_text(body: Json) -> str | None:
    results = body.get("results")
    if isinstance(results, list):
        return f"{len(results)} results"
    items = body.get("data")
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        return None
    vector, score = items[0].get("embedding"), items[0].get("score")
    if isinstance(vector, list):
        shown = ", ".join(f"{number:.4g}" for number in vector[:NUMBERS_SHOWN] if isinstance(number, int | float))
        return f"vector of {len(vector)} numbers: {shown}, …"
    return f"score {score:.4g}" if isinstance(score, int | float) else None


def _object(holder: Json | None, name: str) -> Json | None:
    value = holder.get(name) if holder is not None else None
    return value if isinstance(value, dict) else None


def _decoded(line: bytes) -> Json | None:
    try:
        decoded = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _short(text: str) -> str:
    return text if len(text) <= PREVIEW_CHARS_MAX else text[:PREVIEW_CHARS_MAX] + "…"
