"""The actions of a visitor: steer a batch, hand one in, fetch and delete files, log in and out, choose a theme."""

from __future__ import annotations

import io
import secrets

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from vbatch.console.adapters.http.answers import SEE_OTHER, THEME_COOKIE, THEMES, is_from_script, page
from vbatch.console.adapters.http.downloads import sent
from vbatch.console.adapters.http.sessions import COOKIE
from vbatch.console.adapters.http.visitors import Guarded, TheVisitor, Visitor, parts_of
from vbatch.console.core.guarding import is_local_path
from vbatch.console.core.new_batch import (
    SAMPLE,
    Draft,
    Misfilled,
    create_body,
    endpoint_of,
    read_draft,
    read_priority,
)
from vbatch.console.core.snippets import create_snippets
from vbatch.console.ports import ApiRefused, Upload

KEY_CHARS_MAX = 512
THEME_SECONDS = 365 * 86_400
FIRST_LINE_BYTES_MAX = 1 << 20
ASKED = {
    "pause": "It is paused: what runs inside the engine finishes, nothing more starts.",
    "resume": "It runs again when its turn comes.",
    "cancel": "It is being cancelled. Finished answers are kept.",
}

router = APIRouter()


@router.post("/batches/{batch_id}/steer/{action}")
async def steer(request: Request, batch_id: str, action: str, visitor: Guarded) -> Response:
    if action not in ASKED:
        raise HTTPException(404)
    await visitor.api.steer(batch_id, action)
    return await _done(request, visitor, "Done", ASKED[action], f"/batches/{batch_id}")


@router.post("/batches/{batch_id}/priority")
async def prioritize(request: Request, batch_id: str, visitor: Guarded) -> Response:
    form = await request.form()
    try:
        priority = read_priority(str(form.get("priority", "")))
    except Misfilled as error:
        raise HTTPException(400, str(error)) from error
    await visitor.api.prioritize(batch_id, priority)
    words = f"Its priority is {priority}. The new order shows as soon as the scheduler has made it."
    return await _done(request, visitor, "Done", words, f"/batches/{batch_id}")


@router.get("/batches/new")
async def new_batch(request: Request, visitor: TheVisitor) -> Response:
    draft = Draft(lines=SAMPLE if "sample" in request.query_params else "")
    return page(request, visitor, "new.html", {"draft": draft, "trouble": "", "models": await _models(visitor)})


@router.post("/batches/new")
async def check_batch(request: Request, visitor: Guarded) -> Response:
    """Store the file and say whether it could become a batch."""
    form = await request.form()
    draft = read_draft({name: value for name, value in form.items() if isinstance(value, str)})
    try:
        upload, filename = await _upload_of(form, draft)
        endpoint = draft.endpoint or endpoint_of(await _first_line(upload))
        stored = await visitor.api.upload(upload, filename)
        check = await visitor.api.check(stored.id, endpoint)
    except (Misfilled, ApiRefused) as error:
        words = error.message if isinstance(error, ApiRefused) else str(error)
        models = await _models(visitor)
        return page(request, visitor, "new.html", {"draft": draft, "trouble": words, "models": models}, status=400)
    url = parts_of(request).settings.shown_api_url
    snippets = create_snippets(url, filename, endpoint, draft.window, draft.priority)
    serving = [model.id for model in (await visitor.api.registry()).data if endpoint in model.endpoints]
    context = {"draft": draft, "file": stored, "check": check, "snippets": snippets, "models": serving}
    return page(request, visitor, "review.html", context | {"idempotency_key": secrets.token_hex(16)})


@router.post("/batches")
async def create_batch(request: Request, visitor: Guarded) -> Response:
    form = await request.form()
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    try:
        models = [value for value in form.getlist("models") if isinstance(value, str)]
        ask = create_body(fields, models)
    except Misfilled as error:
        raise HTTPException(400, str(error)) from error
    batch = await visitor.api.create(ask, fields.get("idempotency_key", ""))
    target = f"/fanouts/{batch.fanout_id}" if batch.fanout_id else f"/batches/{batch.id}"
    return RedirectResponse(target, SEE_OTHER)


@router.post("/batches/{batch_id}/retry")
async def retry(batch_id: str, visitor: Guarded) -> Response:
    """Run the requests without a successful answer again, as a new batch. A repeated request makes no second batch."""
    batch = await visitor.api.retry(batch_id, f"console-retry-{batch_id}")
    return RedirectResponse(f"/batches/{batch.id}", SEE_OTHER)


@router.get("/files/{file_id}/content")
async def download_file(file_id: str, visitor: TheVisitor) -> Response:
    """Send a file as a download: whatever it contains, no browser opens it as a page."""
    return await sent(visitor.api.download(file_id))


@router.post("/files/{file_id}/delete")
async def delete_file(request: Request, file_id: str, visitor: Guarded) -> Response:
    await visitor.api.delete_file(file_id)
    return await _done(request, visitor, "Deleted", "The file is gone. Batches keep its id.", "/files")


@router.get("/login")
async def login_page(request: Request) -> Response:
    return page(request, None, "login.html", {"trouble": "", "next": request.query_params.get("next", "/")})


@router.post("/login")
async def login(request: Request) -> Response:
    """The origin check guards this form instead of a token; there is no session yet that could be misused."""
    parts, form = parts_of(request), await request.form(max_files=0, max_fields=5)
    key, target = str(form.get("key", "")).strip()[:KEY_CHARS_MAX], str(form.get("next", "/"))
    target = target if is_local_path(target) else "/"
    if not key or not key.isascii() or not key.isprintable():
        return page(request, None, "login.html", {"trouble": "Enter an API key.", "next": target}, status=400)
    try:
        me = await parts.api(key).me()
    except ApiRefused as error:
        words = "This key is not known to the server." if error.is_about_the_key else error.message
        return page(request, None, "login.html", {"trouble": words, "next": target}, status=403)
    session = parts.sessions.begin(key, me.owner, request.headers.get("user-agent", ""), is_admin=me.is_admin)
    response = RedirectResponse(target, SEE_OTHER)
    response.set_cookie(
        COOKIE,
        session.id,
        max_age=parts.settings.session_seconds_max,
        httponly=True,
        samesite="strict",
        secure=parts.settings.has_secure_cookies,
    )
    return response


@router.post("/logout")
async def logout(request: Request, visitor: Guarded) -> Response:
    if visitor.session is not None:
        parts_of(request).sessions.end(visitor.session)
    response = RedirectResponse("/login", SEE_OTHER)
    response.delete_cookie(COOKIE)
    return response


@router.post("/theme")
async def choose_theme(request: Request) -> Response:
    """Changes nothing of value, so it needs no token."""
    form = await request.form(max_files=0, max_fields=5)
    theme, target = str(form.get("theme", "auto")), str(form.get("next", "/"))
    response = RedirectResponse(target if is_local_path(target) else "/", SEE_OTHER)
    if theme in THEMES:
        response.set_cookie(THEME_COOKIE, theme, max_age=THEME_SECONDS, samesite="strict", httponly=True)
    return response


async def _done(request: Request, visitor: Visitor, title: str, words: str, path: str) -> Response:
    """The page itself changes when the event comes; this only confirms that the request was accepted."""
    if is_from_script(request):
        context = {"title": title, "words": words, "request_id": "", "tone": "good"}
        return page(request, visitor, "parts/toast.html", context)
    target = str((await request.form()).get("next", path))
    return RedirectResponse(target if is_local_path(target) else path, SEE_OTHER)


async def _models(visitor: Visitor) -> list[str]:
    try:
        return [model.id for model in (await visitor.api.registry()).data]
    except ApiRefused:
        return []


async def _upload_of(form: FormData, draft: Draft) -> tuple[Upload, str]:
    """Return the file, otherwise the pasted lines. Raises Misfilled."""
    sent = form.get("file")
    if isinstance(sent, UploadFile) and sent.filename:
        return sent, sent.filename
    if not draft.lines.strip():
        raise Misfilled("Choose a file, or paste some lines.")
    text = draft.lines.replace("\r\n", "\n").encode()
    return UploadFile(io.BytesIO(text), filename=f"{draft.name or 'pasted'}.jsonl"), f"{draft.name or 'pasted'}.jsonl"


async def _first_line(upload: Upload) -> bytes:
    if not isinstance(upload, UploadFile):
        return b""
    head = await upload.read(FIRST_LINE_BYTES_MAX)
    await upload.seek(0)
    return head.lstrip().partition(b"\n")[0]
