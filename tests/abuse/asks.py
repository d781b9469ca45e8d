"""Asks of every route of the API with any text in any of their places, written to the socket as they are."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from random import Random
from typing import Any

from tests.abuse.texts import text

SECONDS_MAX = 60.0
HEAD_TEXT_BYTES_MAX = 200_000
"""Of a text in a path or a header: more than any head may have."""
ROUTES = (
    ("GET", "/v1/files"),
    ("POST", "/v1/files"),
    ("GET", "/v1/files/{id}"),
    ("DELETE", "/v1/files/{id}"),
    ("GET", "/v1/files/{id}/content"),
    ("POST", "/v1/uploads"),
    ("POST", "/v1/uploads/{id}/parts"),
    ("POST", "/v1/uploads/{id}/complete"),
    ("POST", "/v1/uploads/{id}/cancel"),
    ("GET", "/v1/batches"),
    ("POST", "/v1/batches"),
    ("GET", "/v1/batches/{id}"),
    ("POST", "/v1/batches/{id}"),
    ("POST", "/v1/batches/{id}/cancel"),
    ("POST", "/v1/batches/{id}/pause"),
    ("POST", "/v1/batches/{id}/resume"),
    ("GET", "/v1/batches/{id}/results"),
    ("GET", "/v1/batches/{id}/events"),
    ("GET", "/v1/batches/{id}/why"),
    ("GET", "/v1/queue"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{id}"),
    ("DELETE", "/v1/models/{id}"),
)
QUERIES = (
    "after",
    "limit",
    "order",
    "purpose",
    "status",
    "metadata[a]",
    "created_after",
    "after_line",
    "after_byte",
    "follow",
)
HEADERS = (
    "Authorization",
    "Idempotency-Key",
    "Last-Event-ID",
    "Range",
    "Content-Type",
    "x-stainless-retry-count",
    "Host",
)
BODIES: Mapping[str, Mapping[str, Any]] = {
    "/v1/batches": {"input_file_id": "file-x", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    "/v1/batches/{id}": {"priority": 1},
    "/v1/uploads": {"bytes": 5, "filename": "in.jsonl", "mime_type": "text/jsonl", "purpose": "batch"},
    "/v1/uploads/{id}/complete": {"part_ids": ["part_x"]},
}
MULTIPART = frozenset({"/v1/files", "/v1/uploads/{id}/parts"})
BOUNDARY = "abuse"


class Gateway:
    """One ask a connection. `ids` are those of real objects, so that some asks get far."""

    def __init__(self, port: int, key: str, random: Random, ids: list[str]) -> None:
        self._port = port
        self._key = key
        self._random = random
        self._ids = ids

    def ask(self) -> tuple[str, int]:
        """What was asked, and the status of the answer; 0 when the connection was closed without one."""
        method, route = self._random.choice(ROUTES)
        return f"{method} {route}", self._send(method, self._target(route), self._headers(), *self._body(method, route))

    def _target(self, route: str) -> bytes:
        random, name = self._random, text(self._random, HEAD_TEXT_BYTES_MAX)
        if self._ids and random.random() < 0.4:
            name = random.choice(self._ids)
        path = route.replace("{id}", _quoted(random, name))
        if random.random() < 0.4:
            path += f"?{random.choice(QUERIES)}={_quoted(random, text(random, HEAD_TEXT_BYTES_MAX))}"
        return path.encode()

    def _headers(self) -> list[tuple[str, bytes]]:
        headers = [("Authorization", f"Bearer {self._key}".encode()), ("Host", b"127.0.0.1")]
        if self._random.random() < 0.3:
            words = text(self._random, HEAD_TEXT_BYTES_MAX).encode()
            headers.append((self._random.choice(HEADERS), words.replace(b"\r", b"").replace(b"\n", b"")))
        return headers

    def _body(self, method: str, route: str) -> tuple[str, bytes]:
        if method != "POST":
            return "", b""
        if route in MULTIPART:
            return f"multipart/form-data; boundary={BOUNDARY}", self._form(route)
        return "application/json", self._document(BODIES.get(route, {}))

    def _document(self, usual: Mapping[str, Any]) -> bytes:
        random, document = self._random, dict(usual)
        match random.randrange(5):
            case 0:
                return text(random).encode()
            case 1:
                document[text(random)] = text(random)
            case 2:
                document["metadata"] = {text(random, 5_000): text(random, 5_000) for _ in range(random.randint(0, 20))}
            case _ if document:
                document[random.choice(list(document))] = random.choice(
                    (text(random), [text(random)], {"a": text(random)})
                )
        return json.dumps(document, ensure_ascii=random.random() < 0.5).encode()

    def _form(self, route: str) -> bytes:
        random, field = self._random, "file" if route == "/v1/files" else "data"
        name, purpose = "in.jsonl", "batch"
        content = b'{"custom_id":"a"}\n'
        match random.randrange(5):
            case 0:
                name = text(random)
            case 1:
                purpose = text(random)
            case 2:
                content = text(random).encode()
            case 3:
                field = text(random)
            case _:
                return text(random).encode()
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode(),
            content,
        ]
        if route == "/v1/files":
            parts.append(
                f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}'.encode()
            )
        return b"".join(parts) + f"\r\n--{BOUNDARY}--\r\n".encode()

    def _send(self, method: str, target: bytes, headers: list[tuple[str, bytes]], kind: str, body: bytes) -> int:
        head = [f"{method} ".encode() + target + b" HTTP/1.1"]
        head += [name.encode() + b": " + value for name, value in headers]
        head += [f"Content-Type: {kind}".encode()] if kind else []
        head += [f"Content-Length: {len(body)}".encode(), b"Connection: close"]
        with socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS_MAX) as connection:
            try:
                connection.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body)
            except (ConnectionError, TimeoutError):
                pass  # refused before the end of it; the answer may be there all the same
            return _status(connection)


def _status(connection: socket.socket) -> int:
    """Of the first line; the rest of an answer is not read: a stream may have no end."""
    try:
        line = connection.recv(64)
    except (ConnectionError, TimeoutError):
        return 0
    words = line.split(b" ")
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _quoted(random: Random, words: str) -> str:
    """Percent-encoded as clients do it, or just without what would end the line."""
    if random.random() < 0.5:
        return "".join(f"%{byte:02X}" for byte in words.encode()[: HEAD_TEXT_BYTES_MAX // 3])
    return words.replace("\r", "").replace("\n", "").replace(" ", "+")
