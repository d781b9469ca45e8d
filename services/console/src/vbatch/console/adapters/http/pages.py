"""The pages, each with the parts of it that are kept up to date while it is open."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from vbatch.console.adapters.http.answers import page, rendered
from vbatch.console.adapters.http.downloads import sent
from vbatch.console.adapters.http.visitors import TheVisitor, Visitor, parts_of
from vbatch.console.core.cadence import COUNTS, DETAILS, PAGE, Cadence
from vbatch.console.core.snippets import batch_snippets
from vbatch.console.flows import admin_pages, checking, histories, pages
from vbatch.console.flows.live import Fragment, Glance
from vbatch.console.flows.pages import PageParams
from vbatch.console.ports import Api

QUERY_CHARS_MAX = 2_000
HEAD = "head"
"""The part at the top of a batch's pages."""

Load = Callable[[Api, PageParams, int], Awaitable[object]]

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Page:
    """`fragments` name the templates below parts/ that are sent again when they change."""

    template: str
    fragments: tuple[str, ...]
    load: Load


PAGES = {
    "hub": Page("hub.html", ("hub",), pages.hub),
    "queue": Page("queue.html", ("queue",), pages.queue),
    "batches": Page("batches.html", ("batches",), pages.batches),
    "overview": Page("overview.html", ("head", "overview"), pages.overview),
    "answers": Page("answers.html", ("head",), pages.answers),
    "timeline": Page("timeline.html", ("head", "timeline"), histories.timeline),
    "batch-events": Page("batch_events.html", ("head", "events"), pages.batch_events),
    "details": Page("details.html", ("head", "details"), pages.details),
    "fanout": Page("fanout.html", ("fanout",), pages.fanout),
    "models": Page("models.html", ("models",), pages.models),
    "files": Page("files.html", ("files",), pages.files),
    "usage": Page("usage.html", ("usage",), histories.usage),
    "events": Page("events.html", ("events",), pages.events),
    "help": Page("help.html", ("checks",), checking.help_page),
    "admin": Page("admin.html", ("admin",), admin_pages.admin_page),
    "admin-logs": Page("admin_logs.html", ("admin_logs",), admin_pages.logs),
    "dead-letters": Page("dead_letters.html", ("dead_letters",), admin_pages.dead_letters),
    "keys": Page("admin_keys.html", ("api_keys", "owners"), admin_pages.keys),
    "webhooks": Page("webhooks.html", ("webhooks",), admin_pages.webhooks),
    "audit": Page("audit.html", ("audit",), admin_pages.audit),
    "config": Page("config.html", ("settings", "changes"), admin_pages.config),
}


@router.get("/")
async def hub(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "hub")


@router.get("/queue")
async def queue(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "queue")


@router.get("/queue/{batch_id}/why")
async def why(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    """Explain why a batch waits or runs: as a part of the queue's page, or on the batch's page."""
    told = await visitor.api.why(batch_id)
    return page(request, visitor, "parts/why.html", {"why": told})


@router.get("/batches")
async def batches(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "batches")


@router.get("/batches/{batch_id}")
async def overview(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "overview", batch_id)


@router.get("/batches/{batch_id}/answers")
async def answers(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "answers", batch_id)


@router.get("/batches/{batch_id}/events")
async def batch_events(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "batch-events", batch_id)


@router.get("/batches/{batch_id}/details")
async def details(request: Request, batch_id: str, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "details", batch_id)


@router.get("/fanouts/{fanout_id}")
async def fanout(request: Request, fanout_id: str, visitor: TheVisitor) -> Response:
    """Show one file on several models, and the progress of each of them."""
    ask = PageParams("", {pages.FANOUT: fanout_id})
    view = await pages.fanout(visitor.api, ask, _now())
    return page(request, visitor, PAGES["fanout"].template, _context(request, "fanout", ask, view))


@router.get("/fanouts/{fanout_id}/results")
async def fanout_results(fanout_id: str, visitor: TheVisitor) -> Response:
    return await sent(visitor.api.fanout_results(fanout_id))


@router.get("/batches/{batch_id}/merged")
async def merged(batch_id: str, visitor: TheVisitor) -> Response:
    """Download the newest answers of a batch and its retries."""
    return await sent(visitor.api.merged(batch_id))


@router.get("/batches/{batch_id}/manifest")
async def manifest(batch_id: str, visitor: TheVisitor) -> Response:
    return await sent(visitor.api.manifest_file(batch_id))


@router.get("/models")
async def models(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "models")


@router.get("/files")
async def files(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "files")


@router.get("/events")
async def events(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "events")


@router.get("/help")
async def help_page(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "help")


async def show(request: Request, visitor: Visitor, name: str, batch_id: str = "") -> Response:
    chosen = PAGES[name]
    ask = PageParams(batch_id, dict(request.query_params))
    view = await chosen.load(visitor.api, ask, _now())
    return page(request, visitor, chosen.template, _context(request, name, ask, view))


async def fragments(
    request: Request, visitor: Visitor, name: str, params: PageParams, *, path: str = ""
) -> list[Fragment]:
    """Return the parts of the page as they are now; `path` is the address of the page if it is not that of the
    request."""
    chosen = PAGES[name]
    context = _context(request, name, params, await chosen.load(visitor.api, params, _now()))
    return _rendered(request, visitor, chosen.fragments, context | ({"path": path} if path else {}))


def glances(request: Request, visitor: Visitor, name: str, params: PageParams) -> list[Glance]:
    """Return how the page is kept up to date. The head of a batch needs only one question, so it is refreshed on its
    own and more often."""
    chosen = PAGES[name]

    def glance(load: Load, names: tuple[str, ...], cadence: Cadence) -> Glance:
        async def look() -> list[Fragment]:
            view = await load(visitor.api, params, _now())
            return _rendered(request, visitor, names, _context(request, name, params, view))

        return Glance(look, cadence)

    if HEAD not in chosen.fragments:
        return [glance(chosen.load, chosen.fragments, PAGE)]
    rest = tuple(part for part in chosen.fragments if part != HEAD)
    head = glance(pages.head, (HEAD,), COUNTS)
    return [head, glance(chosen.load, rest, DETAILS)] if rest else [head]


def _rendered(request: Request, visitor: Visitor, names: tuple[str, ...], context: dict[str, object]) -> list[Fragment]:
    return [Fragment(name, rendered(request, visitor, f"parts/{name}.html", context)) for name in names]


def _context(request: Request, name: str, params: PageParams, view: object) -> dict[str, object]:
    url = parts_of(request).settings.shown_api_url
    snippets = batch_snippets(url, params.batch_id) if name == "details" else []
    return {"view": view, "tab": name, "live": _live_address(name, params), "snippets": snippets, "api_url": url}


def _live_address(name: str, params: PageParams) -> str:
    query = dict(params.query) | ({"batch_id": params.batch_id} if params.batch_id else {})
    return f"/live/{name}?{_encoded(query)}"


def _encoded(query: dict[str, str]) -> str:
    return urlencode(query)[:QUERY_CHARS_MAX]


def _now() -> int:
    return int(time.time())
