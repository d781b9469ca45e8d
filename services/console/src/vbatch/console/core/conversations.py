"""One line of a batch as a conversation: who says what, and which parts could not be read as one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from vbatch.console.core.answer_parts import (
    Node,
    ToolCall,
    Vector,
    pictures_of,
    tool_calls_of,
    tree_of,
    vectors_of,
)
from vbatch.console.core.api_objects import LineDetail
from vbatch.contracts.previews import answer_text, content_text, request_text

TEXT_CHARS_MAX = 20_000
MESSAGES_MAX = 50
JSON_CHARS_MAX = 60_000


@dataclass(frozen=True, slots=True)
class Turn:
    """`cut_chars` characters of it are not shown."""

    role: str
    text: str
    cut_chars: int = 0
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """`answer` is None while there is none. If `is_error`, it says why there is no answer. `tree` is the answer's text
    as JSON, or else the output line."""

    turns: tuple[Turn, ...]
    answer: Turn | None
    is_error: bool
    custom_id: str
    request_json: str
    answer_json: str
    tool_calls: tuple[ToolCall, ...] = ()
    vectors: tuple[Vector, ...] = ()
    tree: Node | None = None


def conversation_of(detail: LineDetail) -> Conversation:
    request, answer = _object(detail.request), _object(detail.answer)
    said = answer_text(answer) if answer is not None else None
    body = _body(answer)
    return Conversation(
        turns=tuple(_turns(request)),
        answer=_answer(detail, said),
        is_error=answer is not None and not _succeeded(answer),
        custom_id=str((request or answer or {}).get("custom_id", "")),
        request_json=_json(detail.request, detail.request_head),
        answer_json=_json(detail.answer, detail.answer_head),
        tool_calls=tool_calls_of(body),
        vectors=vectors_of(body),
        tree=(tree_of(said) if said is not None else None) or tree_of(bytes(detail.answer)),
    )


def _turns(line: dict[str, object] | None) -> list[Turn]:
    body = line.get("body") if line is not None else None
    if not isinstance(body, dict):
        return []
    messages = body.get("messages")
    if isinstance(messages, list):
        known = [message for message in messages[:MESSAGES_MAX] if isinstance(message, dict)]
        return [_message_turn(message) for message in known]
    text = request_text(body)
    return [_turn("input", text)] if text is not None else []


def _message_turn(message: dict[str, object]) -> Turn:
    content = message.get("content")
    turn = _turn(str(message.get("role", "?")), content_text(content) or "")
    return replace(turn, pictures=pictures_of(content))


def _body(answer: dict[str, object] | None) -> object:
    response = answer.get("response") if answer is not None else None
    return response.get("body") if isinstance(response, dict) else None


def _answer(detail: LineDetail, said: str | None) -> Turn | None:
    if said is not None:
        return _turn("answer", said)
    if detail.answer_head is not None:
        return _turn("answer, too long to be shown whole", detail.answer_head)
    return None


def _turn(role: str, text: str) -> Turn:
    return Turn(role, text[:TEXT_CHARS_MAX], max(0, len(text) - TEXT_CHARS_MAX))


def _succeeded(line: dict[str, object]) -> bool:
    response = line.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    return isinstance(status, int) and 200 <= status < 300


def _object(raw: msgspec.Raw) -> dict[str, object] | None:
    try:
        decoded = msgspec.json.decode(bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _json(raw: msgspec.Raw, head: str | None) -> str:
    """Return indented JSON; of a long one only the beginning."""
    if bytes(raw) == b"null":
        return (head or "")[:JSON_CHARS_MAX]
    return msgspec.json.format(bytes(raw), indent=2).decode(errors="replace")[:JSON_CHARS_MAX]
