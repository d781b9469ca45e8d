import json

import pytest
from prometheus_client import CollectorRegistry
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vbatch.gateway.adapters.http.request_metrics import RequestMetrics
from vbatch.gateway.adapters.http.request_middleware import BodyTimeouts, RequestMiddleware

SCOPE = {"type": "http", "method": "GET", "path": "/x"}


async def sent_by(app: ASGIApp) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    await RequestMiddleware(app, RequestMetrics(CollectorRegistry()), BodyTimeouts(1.0, 1.0))(
        dict(SCOPE), receive, send
    )
    return sent


async def test_a_bug_is_answered_in_the_envelope_without_its_traceback():
    async def buggy(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("a secret")

    start, body = await sent_by(buggy)
    error = json.loads(body["body"])["error"]

    assert start["status"] == 500
    assert (error["type"], error["param"], error["code"]) == ("server_error", None, None)
    assert b"secret" not in body["body"]
    assert dict(start["headers"])[b"x-request-id"].startswith(b"req_")


async def test_an_answer_that_breaks_in_the_middle_is_cut():
    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await sent_by(breaking)


async def test_a_client_that_left_gets_no_answer():
    async def abandoned(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    assert await sent_by(abandoned) == []
