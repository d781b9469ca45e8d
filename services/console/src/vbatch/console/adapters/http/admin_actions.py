"""The actions of administrators: each calls one route of the API, reports the result, and shows the updated page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from vbatch.console.adapters.http.answers import SEE_OTHER, is_from_script, page, rendered
from vbatch.console.adapters.http.pages import fragments
from vbatch.console.adapters.http.visitors import Guarded, Visitor
from vbatch.console.core import admin_forms as forms
from vbatch.console.core.admin_objects import Limits
from vbatch.console.core.guarding import is_local_path
from vbatch.console.core.new_batch import Misfilled
from vbatch.console.flows.admin_pages import CHANGES_SHOWN
from vbatch.console.flows.pages import PageParams
from vbatch.console.ports import ApiRefused

REASON_CHARS_MAX = 200
EVENT_TYPES_MAX = 32
SWITCHES = {
    "enable": "It is told again; what waited is sent now.",
    "disable": "Nothing is sent to it until you enable it; what waits, waits.",
}

RUNNER_STEPS = {
    "drain": "takes nothing new; what is inside its engine finishes.",
    "unload": "finishes what is inside its engine and then frees its device.",
    "restart": "finishes what is inside its engine and then restarts.",
    "resume": "takes work again.",
}

P = ParamSpec("P")

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Undo:
    """The form that undoes a change: where it is sent, and its fields."""

    path: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Done:
    """The message after an action. `name` is the page that is shown again, at `path` with `query`."""

    name: str
    path: str
    words: str
    query: Mapping[str, str]
    undo: Undo | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that is shown once: an API key, or the signing secret of a webhook."""

    kind: str
    text: str
    id: str
    title: str

    @property
    def made(self) -> Done:
        """The page that lists the object to which the secret belongs."""
        if self.kind == "key":
            return Done("keys", "/admin/keys", "", {})
        return Done("webhooks", "/admin/webhooks", "", {"endpoint": self.id})


@router.post("/admin/keys")
async def create_key(request: Request, visitor: Guarded) -> Response:
    """The key itself is shown once."""
    ask = _filled(forms.key_body, await _fields(request), int(time.time()))
    made = await visitor.api.admin.create_key(ask)
    return await _secret(request, visitor, Secret("key", made.key, made.id, f"{made.name} of {made.owner}"))


@router.post("/admin/keys/{key_id}/rotate")
async def rotate_key(request: Request, key_id: str, visitor: Guarded) -> Response:
    ask = _filled(forms.rotation_body, await _fields(request))
    made = await visitor.api.admin.rotate_key(key_id, ask)
    return await _secret(request, visitor, Secret("key", made.key, made.id, f"{made.name} of {made.owner}"))


@router.post("/admin/keys/{key_id}/revoke")
async def revoke_key(request: Request, key_id: str, visitor: Guarded) -> Response:
    reason = (await _fields(request)).get("reason", "")[:REASON_CHARS_MAX]
    key = await visitor.api.admin.revoke_key(key_id, reason)
    done = Done("keys", "/admin/keys", f"{key.name} opens nothing any more; streams open under it have ended.", {})
    return await _shown(request, visitor, done)


@router.post("/admin/owners")
async def set_quota(request: Request, visitor: Guarded) -> Response:
    fields = await _fields(request)
    owner = fields.get("owner", "").strip()
    if not owner:
        raise HTTPException(400, "Name the owner whose quota you set.")
    ask = _filled(forms.quota_body, fields)
    before = forms.quota_fields((await visitor.api.admin.owner(owner)).quota)
    await visitor.api.admin.set_quota(owner, ask)
    return await _shown(request, visitor, _quota_set(owner, fields, before))


@router.post("/admin/owners/undo")
async def undo_quota(request: Request, visitor: Guarded) -> Response:
    """Undo one change of a quota; the other values of the quota stay."""
    fields = await _fields(request)
    owner = fields.get("owner", "")
    changes = (await visitor.api.admin.changes(CHANGES_SHOWN)).data
    change = next((each for each in changes if str(each.id) == fields.get("change") and each.target == owner), None)
    if change is None:
        raise HTTPException(404)
    quota = (await visitor.api.admin.owner(owner)).quota
    await visitor.api.admin.set_quota(owner, forms.undone_quota(quota, change))
    words = f"The quota of {owner} is as it was before that change, in force now."
    return await _shown(request, visitor, Done("config", "/config", words, {}))


@router.post("/admin/limits")
async def set_limits(request: Request, visitor: Guarded) -> Response:
    """Change only the limits that the form names."""
    fields = await _fields(request)
    ask = _filled(forms.limits_body, fields)
    before = await visitor.api.admin.limits()
    await visitor.api.admin.set_limits(ask)
    return await _shown(request, visitor, _limits_set(ask, fields, before))


@router.post("/admin/webhooks")
async def create_webhook(request: Request, visitor: Guarded) -> Response:
    ask = _filled(forms.webhook_body, await _fields(request), await _event_types(request))
    made = await visitor.api.admin.create_webhook(ask)
    return await _secret(request, visitor, Secret("webhook", made.signing_secret, made.id, made.name))


@router.post("/admin/webhooks/{endpoint_id}")
async def update_webhook(request: Request, endpoint_id: str, visitor: Guarded) -> Response:
    ask = _filled(forms.webhook_body, await _fields(request), await _event_types(request))
    await visitor.api.admin.update_webhook(endpoint_id, ask)
    return await _shown(request, visitor, _of_webhook(endpoint_id, "It is told as you have set it from now on."))


@router.post("/admin/webhooks/{endpoint_id}/rotate")
async def rotate_webhook(request: Request, endpoint_id: str, visitor: Guarded) -> Response:
    keeps_old = (await _fields(request)).get("keep_old") == "yes"
    made = await visitor.api.admin.rotate_webhook(endpoint_id, keeps_old=keeps_old)
    return await _secret(request, visitor, Secret("webhook", made.signing_secret, made.id, made.name))


@router.post("/admin/webhooks/{endpoint_id}/delete")
async def delete_webhook(request: Request, endpoint_id: str, visitor: Guarded) -> Response:
    await visitor.api.admin.delete_webhook(endpoint_id)
    done = Done("webhooks", "/admin/webhooks", "It is gone; nothing more is sent to it.", {})
    return await _shown(request, visitor, done)


@router.post("/admin/webhooks/{endpoint_id}/test")
async def test_webhook(request: Request, endpoint_id: str, visitor: Guarded) -> Response:
    event_type = (await _fields(request)).get("event_type", "batch.completed")
    answer = await visitor.api.admin.test_webhook(endpoint_id, event_type)
    is_taken = 200 <= answer.status_code < 300
    words = f"It answered {answer.status_code}: the event is {'taken' if is_taken else 'not taken'}."
    return await _shown(request, visitor, _of_webhook(endpoint_id, words))


@router.post("/admin/webhooks/{endpoint_id}/switch/{verb}")
async def switch_webhook(request: Request, endpoint_id: str, verb: str, visitor: Guarded) -> Response:
    if verb not in SWITCHES:
        raise HTTPException(404)
    await visitor.api.admin.switch_webhook(endpoint_id, verb)
    return await _shown(request, visitor, _of_webhook(endpoint_id, SWITCHES[verb]))


@router.post("/admin/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend")
async def resend(request: Request, endpoint_id: str, delivery_id: str, visitor: Guarded) -> Response:
    await visitor.api.admin.resend(endpoint_id, delivery_id)
    return await _shown(request, visitor, _of_webhook(endpoint_id, "It is sent again, with the same id and bytes."))


@router.post("/admin/queue/pause")
async def pause_queue(request: Request, visitor: Guarded) -> Response:
    reason = (await _fields(request)).get("reason", "").strip()[:REASON_CHARS_MAX]
    await visitor.api.admin.pause_queue(reason)
    words = "All work is paused: what runs inside an engine finishes, nothing more starts."
    return await _shown(request, visitor, Done("admin", "/admin", words, {}, Undo("/admin/queue/resume", {})))


@router.post("/admin/queue/resume")
async def resume_queue(request: Request, visitor: Guarded) -> Response:
    await visitor.api.admin.resume_queue()
    return await _shown(request, visitor, Done("admin", "/admin", "Work starts again.", {}))


@router.post("/admin/runners/{runner_id}/{verb}")
async def steer_runner(request: Request, runner_id: str, verb: str, visitor: Guarded) -> Response:
    if verb not in RUNNER_STEPS:
        raise HTTPException(404)
    reason = (await _fields(request)).get("reason", "").strip()[:REASON_CHARS_MAX]
    await visitor.api.admin.steer_runner(runner_id, verb, reason)
    undo = None if verb == "resume" else Undo(f"/admin/runners/{quote(runner_id, safe='')}/resume", {})
    return await _shown(request, visitor, Done("admin", "/admin", f"{runner_id} {RUNNER_STEPS[verb]}", {}, undo))


@router.post("/admin/dead-letters/{letter}/retry")
async def retry_dead_letter(request: Request, letter: int, visitor: Guarded) -> Response:
    await visitor.api.admin.retry_dead_letter(str(letter))
    words = f"The message of dead letter {letter} is sent again, and the letter is removed."
    return await _shown(request, visitor, Done("dead-letters", "/admin/dead-letters", words, {}))


@router.post("/admin/dead-letters/{letter}/drop")
async def drop_dead_letter(request: Request, letter: int, visitor: Guarded) -> Response:
    await visitor.api.admin.drop_dead_letter(str(letter))
    words = f"Dead letter {letter} is removed."
    return await _shown(request, visitor, Done("dead-letters", "/admin/dead-letters", words, {}))


def _quota_set(owner: str, fields: Mapping[str, str], before: Mapping[str, int | None]) -> Done:
    was = {"owner": owner} | {name: "" if value is None else str(value) for name, value in before.items()}
    words = f"The quota of {owner} is as you set it, in force now."
    undo = None if fields.get("is_undo") else Undo("/admin/owners", was | {"is_undo": "yes"})
    return _back(fields, "keys", "/admin/keys", words, undo)


def _limits_set(ask: Mapping[str, object], fields: Mapping[str, str], before: Limits) -> Done:
    was = {name: str(getattr(before, name)) for name in ask}
    told = ", ".join(f"{forms.LIMIT_WORDS[name]} {value or 'unlimited'}" for name, value in ask.items())
    undo = None if fields.get("is_undo") else Undo("/admin/limits", was | {"is_undo": "yes"})
    return _back(fields, "keys", "/admin/keys", f"In force now, a minute and key: {told}.", undo)


def _back(fields: Mapping[str, str], name: str, path: str, words: str, undo: Undo | None) -> Done:
    """Return what is shown after the change. Two pages have these forms; the one that was used is shown again."""
    if fields.get("from") == "config":
        name, path = "config", "/config"
    if undo is not None:
        undo = Undo(undo.path, dict(undo.fields) | {"from": fields.get("from", "")})
    return Done(name, path, words, {}, undo)


def _of_webhook(endpoint_id: str, words: str) -> Done:
    return Done("webhooks", "/admin/webhooks", words, {"endpoint": endpoint_id})


async def _secret(request: Request, visitor: Visitor, secret: Secret) -> Response:
    """Return a part of the page and the updated other parts to a script; otherwise a page of its own."""
    if not is_from_script(request):
        return page(request, visitor, "secret.html", {"secret": secret})
    shown = rendered(request, visitor, "parts/secret.html", {"secret": secret})
    parts = await _parts(request, visitor, secret.made)
    return HTMLResponse(shown + parts, headers={"cache-control": "no-store"})


async def _shown(request: Request, visitor: Visitor, done: Done) -> Response:
    """Return the message and the updated parts of the page to a script; otherwise the page itself."""
    if not is_from_script(request):
        target = str((await request.form()).get("next", done.path))
        return RedirectResponse(target if is_local_path(target) else done.path, SEE_OTHER)
    context: dict[str, object] = {"title": "Done", "words": done.words, "request_id": "", "tone": "good"}
    toast = rendered(request, visitor, "parts/admin_toast.html", context | {"undo": done.undo})
    parts = await _parts(request, visitor, done)
    return HTMLResponse(toast + parts, headers={"cache-control": "no-store"})


async def _parts(request: Request, visitor: Visitor, done: Done) -> str:
    """Return the parts of the page that may have changed. If the API refuses, the page updates itself a little
    later."""
    try:
        found = await fragments(request, visitor, done.name, PageParams("", dict(done.query)), path=done.path)
    except ApiRefused:
        return ""
    return "".join(f'<div id="part-{each.name}" hx-swap-oob="innerHTML">{each.html}</div>' for each in found)


def _filled(read: Callable[P, forms.Ask], *fields: P.args, **more: P.kwargs) -> forms.Ask:
    """Return the request that a form describes. Raises HTTPException."""
    try:
        return read(*fields, **more)
    except Misfilled as error:
        raise HTTPException(400, str(error)) from error


async def _fields(request: Request) -> dict[str, str]:
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def _event_types(request: Request) -> list[str]:
    form = await request.form()
    return [value for value in form.getlist("event_types") if isinstance(value, str)][:EVENT_TYPES_MAX]
