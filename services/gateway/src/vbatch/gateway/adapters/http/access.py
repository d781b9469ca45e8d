"""The routes of access, all of them ours: the caller itself and, for admins, keys, owners with their quotas, and rate
limits."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import JSON, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import Admin, AppState, ReadingCaller, TheAppState, TheDependencies
from vbatch.gateway.adapters.http.describe import (
    CHANGE_LIMITS,
    CREATE_KEY,
    ROTATE_KEY,
    SET_QUOTA,
    STRING,
    body,
    errors,
    query,
)
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.access_views import (
    KeyList,
    KeyObject,
    LimitsObject,
    MeObject,
    NewKeyObject,
    OwnerList,
    OwnerObject,
    key_view,
    limits_view,
    me_view,
    new_key_view,
    owner_view,
)
from vbatch.gateway.core.audit_params import ENTRIES_DEFAULT, ENTRIES_MAX, AuditPage, audit_view, parse_audit_params
from vbatch.gateway.core.keys import (
    REASON_CHARS_MAX,
    newest_first,
    owner_name,
    parse_key_params,
    read_keep_hours,
)
from vbatch.gateway.core.limit_params import read_limits
from vbatch.gateway.core.quotas import read_quota
from vbatch.gateway.core.shapes import bounded_string
from vbatch.gateway.flows import audit, keys as flow

PACKAGE = "vbatch-gateway"

router = APIRouter(prefix="/v1", tags=["access"])


@router.get("/me", response_model=MeObject, responses=errors())
async def retrieve_me(caller: ReadingCaller, parts: TheAppState) -> Response:
    """Who you are to this server: your owner, scopes, quota and usage, and the server's version."""
    usage = await flow.usage_of(parts.dependencies, caller.owner)
    return object_answer(me_view(caller, parts.access.quota(caller.owner), usage, version(PACKAGE)))


@router.post(
    "/admin/keys",
    response_model=NewKeyObject,
    responses=errors(400, 403, 408),
    openapi_extra={"requestBody": body(JSON, CREATE_KEY)},
)
async def create_key(request: Request, caller: Admin, parts: TheAppState) -> Response:
    """Create an API key. The key itself is shown in this answer and nowhere else."""
    params = parse_key_params(await read_body(request), parts.dependencies.now())
    return object_answer(new_key_view(await flow.create_key(parts.dependencies, parts.feed, caller, params)))


@router.get(
    "/admin/keys",
    response_model=KeyList,
    responses=errors(403),
    openapi_extra={"parameters": [query("owner", STRING, "Only keys of this owner.")]},
)
async def list_keys(request: Request, _caller: Admin, parts: TheAppState) -> Response:
    """All keys, newest first, including revoked and expired keys."""
    chosen = newest_first(list(parts.access.keys.values()), request.query_params.get("owner"))
    return object_answer(KeyList(data=[key_view(key, parts.last_used.get(key.id)) for key in chosen]))


@router.delete(
    "/admin/keys/{key_id}",
    response_model=KeyObject,
    responses=errors(400, 403, 404),
    openapi_extra={"parameters": [query("reason", STRING, "Kept with the event.")]},
)
async def revoke_key(request: Request, key_id: Named, caller: Admin, parts: TheAppState) -> Response:
    """Revoke a key in every gateway within two seconds; streams open under it end. Revoking it again is not an
    error."""
    reason = bounded_string(request.query_params.get("reason", ""), "reason", REASON_CHARS_MAX)
    key = await flow.revoke_key(parts.dependencies, parts.feed, caller, key_id, reason)
    return object_answer(key_view(key, parts.last_used.get(key.id)))


@router.post(
    "/admin/keys/{key_id}/rotate",
    response_model=NewKeyObject,
    responses=errors(400, 403, 404, 408, 409),
    openapi_extra={"requestBody": body(JSON, ROTATE_KEY) | {"required": False}},
)
async def rotate_key(request: Request, key_id: Named, caller: Admin, parts: TheAppState) -> Response:
    """Create another key with the same owner, name and scopes. The old key stays valid for `keep_old_for_hours`."""
    keep_hours = read_keep_hours(await read_body(request))
    return object_answer(
        new_key_view(await flow.rotate_key(parts.dependencies, parts.feed, caller, key_id, keep_hours))
    )


@router.get("/admin/owners", response_model=OwnerList, responses=errors(403))
async def list_owners(_caller: Admin, parts: TheAppState) -> Response:
    """Every owner that has a key or a quota. To see what an owner uses, retrieve that owner."""
    names = {key.owner for key in parts.access.keys.values()} | set(parts.access.quotas())
    owners = [owner_view(name, _key_count(parts, name), parts.access.quota(name), None) for name in sorted(names)]
    return object_answer(OwnerList(data=owners))


@router.get("/admin/owners/{owner}", response_model=OwnerObject, responses=errors(400, 403))
async def retrieve_owner(owner: Named, _caller: Admin, parts: TheAppState) -> Response:
    """An owner's quota, and how much of it the owner uses."""
    return await _owner_answer(parts, owner)


@router.post(
    "/admin/owners/{owner}",
    response_model=OwnerObject,
    responses=errors(400, 403, 408),
    openapi_extra={"requestBody": body(JSON, SET_QUOTA)},
)
async def set_quota(request: Request, owner: Named, caller: Admin, parts: TheAppState) -> Response:
    """Set the whole quota of an owner. It takes effect at once; a field that is not named is not limited."""
    quota = read_quota(await read_body(request))
    await flow.change_quota(parts.dependencies, parts.feed, caller, owner_name(owner, "owner"), quota)
    return await _owner_answer(parts, owner)


@router.get("/admin/limits", response_model=LimitsObject, responses=errors(403))
async def retrieve_limits(_caller: Admin, parts: TheAppState) -> Response:
    """The rate limits that apply to each key."""
    return object_answer(limits_view(parts.limits))


@router.post(
    "/admin/limits",
    response_model=LimitsObject,
    responses=errors(400, 403, 408, 409),
    openapi_extra={"requestBody": body(JSON, CHANGE_LIMITS)},
)
async def change_limits(request: Request, caller: Admin, parts: TheAppState) -> Response:
    """Change the limits that are named. The change takes effect at once in every gateway."""
    after = read_limits(await read_body(request), parts.access.limits, parts.limits.pinned)
    await flow.change_limits(parts.dependencies, parts.feed, caller, after)
    return object_answer(limits_view(parts.limits))


@router.get(
    "/admin/audit",
    response_model=AuditPage,
    responses=errors(400, 403),
    openapi_extra={
        "parameters": [
            query("after", {"type": "integer", "minimum": 0, "default": 0}, "Only what follows this entry."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": ENTRIES_MAX, "default": ENTRIES_DEFAULT},
                "Page size.",
            ),
            query("actor", STRING, "Only what this key did, or `local`, or `operator`."),
            query("object_id", STRING, "Only what was done to this object."),
            query("action", STRING, "Only actions that begin so, such as `key` or `batch.created`."),
            query("before", {"type": "integer", "minimum": 1}, "Only what stands before this entry."),
            query("order", {"type": "string", "enum": ["asc", "desc"], "default": "asc"}, "`desc`: newest first."),
        ]
    },
)
async def read_audit(request: Request, _caller: Admin, dependencies: TheDependencies) -> Response:
    """Who did what, when, and from where: every change that a request or an operator made, oldest first by default. To
    get the next page, pass `last_id` as `after`, or as `before` if the newest entries come first."""
    params = parse_audit_params(request.query_params)
    return object_answer(audit_view(await audit.read_audit(dependencies, params), params.limit))


async def _owner_answer(parts: AppState, name: str) -> Response:
    owner = owner_name(name, "owner")
    usage = await flow.usage_of(parts.dependencies, owner)
    return object_answer(owner_view(owner, _key_count(parts, owner), parts.access.quota(owner), usage))


def _key_count(parts: AppState, owner: str) -> int:
    return sum(key.owner == owner for key in parts.access.keys_that_open(parts.dependencies.now()))
