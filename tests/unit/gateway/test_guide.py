"""The built documentation is served as it is, and nothing beside it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from starlette.types import Message

from vbatch.gateway.adapters.http.errors import add_error_answers
from vbatch.gateway.adapters.http.guide import add_guide
from vbatch.gateway.adapters.http.request_metrics import RequestMetrics
from vbatch.gateway.adapters.http.request_middleware import BodyTimeouts, RequestMiddleware

FILES = {
    "index.html": ("<h1>Guide</h1>", "text/html; charset=utf-8"),
    "assets/search.js": ("search()", "text/javascript; charset=utf-8"),
    "assets/main.css": ("h1 {}", "text/css; charset=utf-8"),
    "img/states.svg": ("<svg/>", "image/svg+xml"),
    "search.json": ("{}", "application/json"),
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A built site with a secret beside it, and a link that leads to the secret."""
    site = tmp_path / "site"
    for name, (text, _) in FILES.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    (tmp_path / "secret.txt").write_text("a secret")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    return site


def app_with(folder: Path) -> FastAPI:
    """The pages of FastAPI with the guide below them, as the gateway has them."""
    app = FastAPIOffline(static_url="/docs/assets", redoc_url=None, redirect_slashes=False)
    add_error_answers(app, [])
    add_guide(app, folder)
    app.add_middleware(
        RequestMiddleware, metrics=RequestMetrics(CollectorRegistry()), body_timeouts=BodyTimeouts(1.0, 1.0)
    )
    return app


async def ask(app: FastAPI, path: str, method: str = "GET") -> Answer:
    """The answer to a request whose path is sent to the byte, as no client library would."""
    sent: list[Message] = []
    asked = asyncio.Event()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        if not asked.is_set():
            asked.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()  # the client stays connected
        raise AssertionError("nobody sets the event")

    raw = path.encode()
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": raw, "headers": []}
    await app({**scope, "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 80)}, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.mark.parametrize("name", FILES)
async def test_a_file_is_served_with_its_content_type(folder: Path, name: str):
    text, content_type = FILES[name]
    answer = await ask(app_with(folder), f"/docs/guide/{name}")
    assert (answer.status, answer.body.decode(), answer.headers["content-type"]) == (200, text, content_type)


async def test_the_first_page_is_found_with_and_without_a_slash(folder: Path):
    app = app_with(folder)
    assert (await ask(app, "/docs/guide/")).body == b"<h1>Guide</h1>"
    redirect = await ask(app, "/docs/guide")
    assert (redirect.status, redirect.headers["location"]) == (307, "/docs/guide/")


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "..%2Fsecret.txt", "%2e%2e/secret.txt", "assets/../../secret.txt", "link.txt", "/etc/passwd"],
)
async def test_nothing_outside_the_folder_is_reachable(folder: Path, path: str):
    answer = await ask(app_with(folder), f"/docs/guide/{path}")
    assert answer.status == 404
    assert b"a secret" not in answer.body and b"root:" not in answer.body


async def test_a_page_that_does_not_exist_is_an_error_in_the_envelope(folder: Path):
    answer = await ask(app_with(folder), "/docs/guide/nothing.html")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (404, "unknown_url")


async def test_the_guide_is_only_read(folder: Path):
    assert (await ask(app_with(folder), "/docs/guide/index.html", "POST")).status == 405
    assert (await ask(app_with(folder), "/docs/guide/index.html", "HEAD")).body == b""


async def test_without_the_folder_there_is_no_guide(tmp_path: Path):
    app = app_with(tmp_path / "not built")
    assert (await ask(app, "/docs/guide/")).status == 404
    assert (await ask(app, "/docs")).status == 200
