"""Shows answers to a person: each question with its answer, or the length of a vector."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

VECTOR_VALUES_SHOWN = 3

T = TypeVar("T")


class ChatMessage(msgspec.Struct, frozen=True):
    content: str | None = None


class Choice(msgspec.Struct, frozen=True):
    message: ChatMessage | None = None
    text: str | None = None


class Embedding(msgspec.Struct, frozen=True):
    embedding: list[float]


class AnswerBody(msgspec.Struct, frozen=True):
    choices: list[Choice] = []
    data: list[Embedding] = []


class AnswerResponse(msgspec.Struct, frozen=True):
    body: AnswerBody


class AnswerLine(msgspec.Struct, frozen=True):
    custom_id: str
    response: AnswerResponse


class AskedBody(msgspec.Struct, frozen=True):
    messages: list[ChatMessage] = []
    input: str = ""
    prompt: str = ""


class AskedLine(msgspec.Struct, frozen=True):
    custom_id: str
    body: AskedBody


def shown(asked: Path, answered: Path, count: int) -> Iterator[str]:
    """Yield the first `count` answers, each with its question; both files hold one JSON object a line."""
    questions = {line.custom_id: _question(line.body) for line in _lines(asked, AskedLine)}
    for line in islice(_lines(answered, AnswerLine), count):
        yield f"{questions.get(line.custom_id, line.custom_id)}  ->  {_answer(line.response.body)}"


def _lines(path: Path, kind: type[T]) -> Iterator[T]:
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for line in file:
            yield decoder.decode(line)


def _question(body: AskedBody) -> str:
    last = body.messages[-1].content if body.messages else None
    return " ".join((last or body.input or body.prompt).split())


def _answer(body: AnswerBody) -> str:
    if body.data:
        vector = body.data[0].embedding
        first = ", ".join(f"{value:+.4f}" for value in vector[:VECTOR_VALUES_SHOWN])
        return f"a vector of {len(vector)} numbers ({first}, ...)"
    if not body.choices:
        return "an answer of another kind"
    choice = body.choices[0]
    text = choice.message.content if choice.message else choice.text
    return " ".join((text or "").split())
