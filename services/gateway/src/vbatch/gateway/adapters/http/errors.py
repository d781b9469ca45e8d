"""Turns every exception of a request into a Refusal, so that each error has the same envelope."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route

from vbatch.chassis.blobs import BlobStoreFull, BlobTrouble
from vbatch.chassis.logs import get_logger
from vbatch.gateway.adapters.http.answers import refusal_answer
from vbatch.gateway.core.refusals import SERVER_FAULT_MESSAGE, Reason, Refusal, no_room, unavailable, url_unknown
from vbatch.gateway.ports import NotifierUnavailable, ReadModelUnavailable, SchedulerUnavailable
from vbatch.journal.port import Full, Unavailable

FILES = "/v1/files"
TROUBLE: dict[type[Exception], str] = {
    Unavailable: "The event log cannot be reached.",
    ReadModelUnavailable: "The read model cannot be reached.",
    BlobTrouble: "The file store failed.",
    SchedulerUnavailable: "The scheduler does not answer; the batches keep running.",
    NotifierUnavailable: "The notifier does not answer; what is due is sent once it is back.",
}


NO_ROOM: dict[type[Exception], str] = {Full: "The event log is full", BlobStoreFull: "The file store is full"}


def add_error_answers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Handle refusals, unavailable services and the framework's own errors. `routes` is the list of all routes."""
    app.state.routes = [route for route in routes if isinstance(route, Route)]
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for kind in TROUBLE:
        app.add_exception_handler(kind, _on_trouble)
    for kind in NO_ROOM:
        app.add_exception_handler(kind, _on_no_room)


def server_fault() -> Refusal:
    return Refusal(Reason.SERVER_FAULT, SERVER_FAULT_MESSAGE)


async def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _refused(request, error)


async def _on_trouble(request: Request, error: Exception) -> Response:
    get_logger().warning("world_unavailable", kind=type(error).__name__, error=str(error))
    words = next(words for kind, words in TROUBLE.items() if isinstance(error, kind))
    return _refused(request, unavailable(words))


async def _on_no_room(request: Request, error: Exception) -> Response:
    get_logger().warning("world_full", kind=type(error).__name__, error=str(error))
    words = next(words for kind, words in NO_ROOM.items() if isinstance(error, kind))
    return _refused(request, no_room(f"{words}: {error}."))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            refusal = url_unknown(request.method, request.url.path)
        case 405:
            refusal = _method_unknown(request)
        case status if status < 500:
            refusal = Refusal(Reason.BODY_UNREADABLE, str(error.detail))
        case _:
            refusal = server_fault()
    return _refused(request, refusal)


def _refused(request: Request, refusal: Refusal) -> Response:
    request.state.refusal = refusal.reason.value  # counted where the answer is sent
    return refusal_answer(refusal, is_mirrored=_is_of_files(request))


def _method_unknown(request: Request) -> Refusal:
    """Return a refusal with every method of the path: the framework names only the methods of one route."""
    there = (route for route in request.app.state.routes if route.matches(request.scope)[0] is not Match.NONE)
    methods = sorted({method for route in there for method in route.methods})
    message = f"Not allowed to {request.method} on {request.url.path}."
    return Refusal(Reason.METHOD_UNKNOWN, message, headers={"allow": ", ".join(methods)} if methods else None)


def _is_of_files(request: Request) -> bool:
    return request.url.path.startswith(FILES)
