"""Builds pages as answers: the frame around them, and the message when one cannot be made."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vbatch.chassis.logs import get_logger
from vbatch.console.adapters.http.sessions import COOKIE
from vbatch.console.adapters.http.visitors import MustLogIn, NotOurForm, OpenToAll, Visitor, parts_of
from vbatch.console.ports import ApiRefused, ApiUnreachable

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "vbatch_theme"
SEE_OTHER = 303


Context = Mapping[str, object]
"""What a template shows, by name."""


def page(request: Request, visitor: Visitor | None, template: str, context: Context, *, status: int = 200) -> Response:
    """Return a template as a page of its own."""
    html = rendered(request, visitor, template, context)
    return HTMLResponse(html, status_code=status, headers={"cache-control": "no-store"})


def rendered(request: Request, visitor: Visitor | None, template: str, context: Context) -> str:
    frame = {
        "visitor": visitor,
        "theme": theme_of(request),
        "path": request.url.path,
        "version": version("vbatch-console"),
        "now": int(time.time()),
    }
    return parts_of(request).templates.get_template(template).render(frame | dict(context))


def theme_of(request: Request) -> str:
    chosen = request.cookies.get(THEME_COOKIE, "auto")
    return chosen if chosen in THEMES else "auto"


def is_from_script(request: Request) -> bool:
    """Whether a script on the page makes the request, and so wants a part of a page."""
    return request.headers.get("hx-request") == "true"


def add_error_pages(app: FastAPI) -> None:
    app.add_exception_handler(MustLogIn, _must_log_in)
    app.add_exception_handler(NotOurForm, _not_our_form)
    app.add_exception_handler(OpenToAll, _open_to_all)
    app.add_exception_handler(ApiRefused, _refused)
    app.add_exception_handler(ApiUnreachable, _unreachable)
    app.add_exception_handler(HTTPException, _no_such_page)


async def _must_log_in(request: Request, _error: Exception) -> Response:
    target = "/login" if request.method != "GET" else f"/login?next={request.url.path}"
    if is_from_script(request):
        return Response(status_code=204, headers={"hx-redirect": target})
    return RedirectResponse(target, SEE_OTHER)


async def _not_our_form(request: Request, _error: Exception) -> Response:
    words = "This form is from before the console was restarted, or from another session. Load the page and try again."
    return _trouble(request, 403, "The form was not taken", words)


async def _open_to_all(request: Request, _error: Exception) -> Response:
    words = (
        "The console listens for other machines, but the server asks for no API key: everybody could use it. "
        "Set VBATCH_GATEWAY_API_KEYS_FILE, or let the console listen on 127.0.0.1."
    )
    return _trouble(request, 403, "This server has no keys", words)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiRefused)
    if error.is_about_the_key:
        response = await _must_log_in(request, error)
        response.delete_cookie(COOKIE)
        return response
    titles = {404: "There is no such thing", 409: "Not possible in its present state", 503: "Not available at present"}
    title = titles.get(error.status, "The server refused")
    return _trouble(request, error.status, title, error.message, request_id=error.request_id)


async def _unreachable(request: Request, error: Exception) -> Response:
    get_logger().warning("gateway_unreachable", error=str(error))
    words = "The gateway does not answer. Running batches are not affected. This page tries again by itself."
    return _trouble(request, 503, "The server cannot be reached", words, retries=True)


async def _no_such_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = "There is no page at this address." if error.status_code == 404 else str(error.detail)
    title = "This cannot be done" if error.status_code == 400 else "No such page"
    return _trouble(request, error.status_code, title, words)


def _trouble(
    request: Request, status: int, title: str, words: str, *, request_id: str = "", retries: bool = False
) -> Response:
    context: dict[str, object] = {"title": title, "words": words, "request_id": request_id, "retries": retries}
    if is_from_script(request):
        html = rendered(request, None, "parts/toast.html", context | {"tone": "bad"})
        return HTMLResponse(html, headers={"hx-retarget": "#toasts", "hx-reswap": "beforeend"})
    return page(request, None, "trouble.html", context, status=status)
