"""What the pages of administrators have to show: dead letters, a receiver of webhooks, asks of the API."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from tests.console.work import Console
from vbatch.contracts import events as e
from vbatch.contracts.codec import encode
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Recorded
from vbatch.journal.jetstream import connect
from vbatch.local.log_access import log_settings

T = TypeVar("T")
ASK_SECONDS_MAX = 30.0


def ask(console: Console, method: str, path: str, body: object = None, key: str = "none") -> Any:
    """One ask of the API; what it answers, decoded."""
    request = urllib.request.Request(
        console.stack.url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=ASK_SECONDS_MAX) as answer:
        return json.loads(answer.read())


def bury(console: Console, *, reason: str, sequence: int) -> int:
    """A dead letter of a message that the gateway writes; its sequence."""
    event = e.BatchResumed(batch_id=BatchId("batch_" + "0" * 32), at=datetime(2030, 1, 1, tzinfo=UTC))
    message = encode(event, source="gateway")
    record = Recorded(sequence, message.subject, message.headers, message.body, datetime.now(UTC))

    async def append() -> int:
        async with connect(log_settings(console.stack.settings, "test")) as journal:
            return await journal.dead.append(record, reason)

    return beside(append())


def beside(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of another thread: the browser's loop runs in this one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


@dataclass
class Receiver:
    """Takes webhooks; answers with `status`."""

    url: str = ""
    status: int = 204
    bodies: list[bytes] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[Receiver]:
    taken = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(taken.status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the tests read `bodies`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    taken.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
