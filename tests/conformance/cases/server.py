"""The server through a client that is strict about every answer, and raw where the client would hide what was sent."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai

CHAT = "simulated-chat"
SLOW = "simulated-slow"
CHAT_ENDPOINT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
ENVELOPE = {"message", "type", "param", "code"}
ENDED = {"completed", "failed", "expired", "cancelled"}
END_SECONDS_MAX = 30.0
POLL_SECONDS = 0.05
RAW_SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Raw:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.client: Any = openai.OpenAI(base_url=f"{url}/v1", api_key="none", _strict_response_validation=True)

    def raw(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Raw:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=RAW_SECONDS_MAX)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Raw(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def upload(self, content: object, purpose: str = "batch", **more: object) -> Any:
        return self.client.files.create(file=content, purpose=purpose, **more)

    def create(self, content: bytes, endpoint: str = CHAT_ENDPOINT, **more: object) -> Any:
        """A batch of these lines."""
        return self.create_on(self.upload(("in.jsonl", content)).id, endpoint, **more)

    def create_on(self, file_id: str, endpoint: str = CHAT_ENDPOINT, **more: object) -> Any:
        ask = {"input_file_id": file_id, "endpoint": endpoint, "completion_window": "24h", **more}
        return self.client.batches.create(**ask)

    def ended(self, batch_id: str) -> Any:
        deadline = time.monotonic() + END_SECONDS_MAX
        while (batch := self.client.batches.retrieve(batch_id)).status not in ENDED:
            assert time.monotonic() < deadline, f"{batch_id} is still {batch.status}"
            time.sleep(POLL_SECONDS)
        return batch

    def lines_of(self, file_id: str | None) -> list[Any]:
        """The output lines in a file; none for no file."""
        if file_id is None:
            return []
        return [json.loads(line) for line in self.client.files.content(file_id).iter_lines()]


def request(custom_id: str = "a", url: str = CHAT_ENDPOINT, **body: object) -> dict[str, Any]:
    """A good line for the chat model; `body` adds to its body or changes it."""
    content = {"model": CHAT, "messages": [{"role": "user", "content": "Grüße\u2028"}], **body}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": content}


def jsonl(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def requests(count: int, **body: object) -> bytes:
    return jsonl(*(request(f"request-{n}", CHAT_ENDPOINT, **body) for n in range(count)))


@contextmanager
def refused(kind: type[openai.APIStatusError], **expected: str | None) -> Iterator[None]:
    """The block ends in this error; str(error) differs between generations, so only its parts are compared."""
    try:
        yield
    except kind as error:
        body = error.body if isinstance(error.body, dict) else {}
        assert set(body) == ENVELOPE, body
        found = {"param": error.param, "code": error.code, "type": error.type, "message": body["message"]}
        expected = {"type": "invalid_request_error", **expected}
        assert {name: found[name] for name in expected} == expected, found
        assert error.request_id and error.request_id.startswith("req_")
    else:
        raise AssertionError(f"{kind.__name__} was not raised")
