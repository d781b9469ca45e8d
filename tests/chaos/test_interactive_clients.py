"""An answer that is cut and looks whole is found; one that is cut and says so is an error as any other."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from openai import OpenAI

from tests.chaos.interactive_clients import InteractiveClients

DONE = b"data: [DONE]\n\n"


class Answering(BaseHTTPRequestHandler):
    """Answers a stream word by word, and cuts it after `words_max` words in the way of `end`."""

    protocol_version = "HTTP/1.1"
    words_max = 1_000
    end = b"0\r\n\r\n"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = f"[simulated] {body['messages'][0]['content']}"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        words = [f"{' ' if place else ''}{word}" for place, word in enumerate(text.split(" "))]
        events = [_event({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in words]
        for event in [*events, DONE][: self.words_max]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.write(self.end)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def _event(content: object) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


ERROR_EVENT = _event({"error": {"message": "The engine stopped.", "code": "engine_lost"}})


@contextmanager
def clients_of(words_max: int, end: bytes) -> Iterator[InteractiveClients]:
    handler = type("Cutting", (Answering,), {"words_max": words_max, "end": end})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield InteractiveClients(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(
    ("words_max", "end", "result", "is_violation"),
    [
        (1_000, b"0\r\n\r\n", "stream: answered", False),
        (5, b"0\r\n\r\n", "stream: answered", True),
        (5, b"", "stream: APIConnectionError", False),
        (5, b"%x\r\n%s\r\n0\r\n\r\n" % (len(ERROR_EVENT), ERROR_EVENT), "stream: APIError engine_lost", False),
    ],
    ids=["whole", "cut as if whole", "cut connection", "error event"],
)
def test_only_an_answer_that_looks_whole_and_is_not_is_a_violation(
    words_max: int, end: bytes, result: str, is_violation: bool
):
    with (
        clients_of(words_max, end) as clients,
        OpenAI(base_url=f"{clients.url}/v1", api_key="none", max_retries=0) as client,
    ):
        clients.ask_once(client, "any", 1, is_stream=True)
    assert dict(clients.results) == {result: 1}
    assert bool(clients.violations) is is_violation
