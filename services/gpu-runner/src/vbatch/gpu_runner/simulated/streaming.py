"""The same answers as server-sent events, word by word, framed as OpenAI frames them.

An answer is built first and then cut into pieces, so that the pieces always add up to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec

Json = object
Object = dict[str, Json]

DONE = b"data: [DONE]\n\n"
CHUNKS = {"chat.completion": "chat.completion.chunk", "text_completion": "text_completion"}


def can_stream(answer: Mapping[str, Json]) -> bool:
    return answer.get("object") in (*CHUNKS, "response")


def events_of(answer: Object, *, includes_usage: bool) -> tuple[bytes, ...]:
    """The events of an answer that can be streamed, the end marker included."""
    if answer["object"] == "response":
        return tuple(_response_events(answer))
    return (*(_data(chunk) for chunk in _chunks(answer, includes_usage=includes_usage)), DONE)


def _chunks(answer: Object, *, includes_usage: bool) -> Iterator[Object]:
    kept = {key: answer[key] for key in ("id", "created", "model", "system_fingerprint")}
    frame = kept | {"object": CHUNKS[str(answer["object"])]} | ({"usage": None} if includes_usage else {})
    choices = cast(list[Object], answer["choices"])
    for choice in choices:
        for piece in _pieces(choice):
            begun = {"index": choice["index"], "logprobs": None, "finish_reason": None}
            yield frame | {"choices": [{**begun, **piece}]}
        end: Object = {"text": ""} if "text" in choice else {"delta": {}}
        last = {"index": choice["index"], "logprobs": None, "finish_reason": choice["finish_reason"]}
        yield frame | {"choices": [last | end]}
    if includes_usage:
        yield frame | {"choices": [], "usage": answer["usage"]}


def _pieces(choice: Object) -> Iterator[Mapping[str, Json]]:
    if "text" in choice:
        yield from ({"text": word} for word in words_of(str(choice["text"])))
        return
    message = cast(Object, choice["message"])
    yield {"delta": {"role": "assistant", "content": ""}}
    for number, call in enumerate(cast(list[Object], message.get("tool_calls") or [])):
        yield {"delta": {"tool_calls": [{"index": number} | call]}}
    if message.get("content"):
        yield from ({"delta": {"content": word}} for word in words_of(str(message["content"])))


def words_of(text: str) -> list[str]:
    """Split the text into pieces that each end before a blank; joined, they are the text."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _response_events(answer: Object) -> Iterator[bytes]:
    """The events of a response with one message of one text (OpenAI's "Streaming events" of the Responses API)."""
    item = cast(list[Object], answer["output"])[0]
    part = cast(list[Object], item["content"])[0]
    text = str(part["text"])
    begun = answer | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    place: Object = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    empty = part | {"text": ""}
    deltas = [("output_text.delta", place | {"delta": word, "logprobs": []}) for word in words_of(text)]
    end = "completed" if answer["status"] == "completed" else "incomplete"
    steps: list[tuple[str, Object]] = [
        ("created", {"response": begun}),
        ("in_progress", {"response": begun}),
        ("output_item.added", {"output_index": 0, "item": item | {"status": "in_progress", "content": []}}),
        ("content_part.added", place | {"part": empty}),
        *deltas,
        ("output_text.done", place | {"text": text, "logprobs": []}),
        ("content_part.done", place | {"part": part}),
        ("output_item.done", {"output_index": 0, "item": item}),
        (end, {"response": answer}),
    ]
    for number, (name, content) in enumerate(steps):
        kind = f"response.{name}"
        yield f"event: {kind}\n".encode() + _data({"type": kind, "sequence_number": number} | content)


def _data(content: Object) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
