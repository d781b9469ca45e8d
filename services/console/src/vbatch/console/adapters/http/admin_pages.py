"""The pages of administrators, and the support bundle as a download."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from vbatch.console.adapters.http.pages import show
from vbatch.console.adapters.http.visitors import TheVisitor

router = APIRouter()


@router.get("/admin")
async def admin(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "admin")


@router.get("/admin/logs")
async def logs(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "admin-logs")


@router.get("/admin/dead-letters")
async def dead_letters(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "dead-letters")


@router.get("/admin/keys")
async def keys(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "keys")


@router.get("/admin/webhooks")
async def webhooks(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "webhooks")


@router.get("/admin/audit")
async def audit(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "audit")


@router.get("/config")
async def config(request: Request, visitor: TheVisitor) -> Response:
    return await show(request, visitor, "config")


@router.get("/admin/support-bundle")
async def support_bundle(visitor: TheVisitor) -> Response:
    content = await visitor.api.admin.support_bundle()
    name = f"vbatch-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(content, media_type="application/zip", headers=headers)
