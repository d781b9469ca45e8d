"""Request lines and output lines of chats, as clients write them and as engines answer."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.support.events import BATCH, MODEL
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.lines import output_line

CHAT_URL = "/v1/chat/completions"


def request_line(line: int, messages: list[dict[str, Any]], **body: Any) -> bytes:
    request = {"model": MODEL, "messages": messages} | body
    return msgspec.json.encode({"custom_id": f"row-{line}", "method": "POST", "url": CHAT_URL, "body": request})


def asked(line: int, question: str, **body: Any) -> bytes:
    return request_line(line, [{"role": "user", "content": question}], **body)


def chat_body(content: str | None, **message: Any) -> bytes:
    said = {"role": "assistant", "content": content} | message
    return msgspec.json.encode({"object": "chat.completion", "choices": [{"index": 0, "message": said}]})


def chat_outcome(line: int, content: str | None, **message: Any) -> e.Outcome:
    body = msgspec.Raw(chat_body(content, **message))
    return e.Outcome(line=line, custom_id=f"row-{line}", status_code=200, body=body)


def answered(line: int, content: str | None, batch_id: BatchId = BATCH, **message: Any) -> bytes:
    return output_line(batch_id, chat_outcome(line, content, **message))


def embedding_request(line: int) -> bytes:
    body = {"model": MODEL, "input": "text"}
    return msgspec.json.encode({"custom_id": f"row-{line}", "method": "POST", "url": "/v1/embeddings", "body": body})


def embedding_outcome(line: int, *embeddings: object) -> e.Outcome:
    """One embedding for each input of the request."""
    body = msgspec.Raw(msgspec.json.encode({"data": [{"embedding": each} for each in embeddings]}))
    return e.Outcome(line=line, custom_id=f"row-{line}", status_code=200, body=body)
