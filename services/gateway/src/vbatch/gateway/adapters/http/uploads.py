"""The routes of uploads in parts."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from vbatch.gateway.adapters.http.answers import JSON, check_length, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import TheDependencies, User, limit_uploads, must_have_space
from vbatch.gateway.adapters.http.describe import COMPLETE_UPLOAD, CREATE_UPLOAD, UPLOAD_PART, body, errors
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.adapters.multipart import MultipartForm
from vbatch.gateway.core.files.part_uploads import (
    PART_BYTES_MAX,
    UploadStatus,
    parse_complete_upload,
    parse_create_upload,
)
from vbatch.gateway.core.views import (
    CompletedUploadObject,
    UploadObject,
    UploadPartObject,
    completed_upload_view,
    part_view,
    upload_view,
)
from vbatch.gateway.flows import part_uploads as flow

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


@router.post(
    "",
    response_model=UploadObject,
    dependencies=[Depends(limit_uploads), Depends(must_have_space)],
    responses=errors(400, 408, 415, 429, 507),
    openapi_extra={"requestBody": body(JSON, CREATE_UPLOAD)},
)
async def create_upload(request: Request, owner: User, dependencies: TheDependencies) -> Response:
    """Create an upload in parts. It accepts parts for an hour."""
    params = parse_create_upload(await read_body(request), dependencies.batch_file_bytes_max)
    created = await flow.create_upload(dependencies, owner, params)
    return object_answer(upload_view(created, UploadStatus.PENDING))


@router.post(
    "/{upload_id}/parts",
    response_model=UploadPartObject,
    dependencies=[Depends(must_have_space)],
    responses=errors(400, 404, 408, 415, 507),
    openapi_extra={"requestBody": body("multipart/form-data", UPLOAD_PART)},
)
async def add_upload_part(request: Request, upload_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Add a part of at most 64 MB. Parts may be sent in parallel; completing the upload puts them in order."""
    check_length(request, PART_BYTES_MAX)
    content_type = request.headers.get("content-type")
    form = MultipartForm(content_type, request.stream(), file_field="data", other_fields=frozenset())
    return object_answer(part_view(await flow.add_part(dependencies, owner, upload_id, form)))


@router.post(
    "/{upload_id}/complete",
    response_model=CompletedUploadObject,
    dependencies=[Depends(must_have_space)],
    responses=errors(400, 404, 408, 415, 507),
    openapi_extra={"requestBody": body(JSON, COMPLETE_UPLOAD)},
)
async def complete_upload(request: Request, upload_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Complete an upload: make a file of these parts, in this order."""
    params = parse_complete_upload(await read_body(request))
    return object_answer(completed_upload_view(*await flow.complete_upload(dependencies, owner, upload_id, params)))


@router.post("/{upload_id}/cancel", response_model=UploadObject, responses=errors(400, 404))
async def cancel_upload(upload_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Cancel an upload; cancelling it again is not an error. The body is not read."""
    cancelled = await flow.cancel_upload(dependencies, owner, upload_id)
    return object_answer(upload_view(cancelled, UploadStatus.CANCELLED))
