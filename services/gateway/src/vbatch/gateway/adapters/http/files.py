"""The routes of files."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from vbatch.gateway.adapters.http.answers import (
    BINARY,
    JSON,
    attachment,
    check_length,
    object_answer,
    page_answer,
    read_body,
    stream_answer,
)
from vbatch.gateway.adapters.http.app_state import (
    Reader,
    TheDependencies,
    User,
    limit_uploads,
    must_have_quota_for_file,
    must_have_space,
)
from vbatch.gateway.adapters.http.describe import (
    CHECK_FILE,
    STRING,
    UPLOAD,
    body,
    file_errors,
    header,
    query,
    text_answer,
)
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.adapters.multipart import MultipartForm
from vbatch.gateway.core.files.uploads import FIELDS, bytes_max
from vbatch.gateway.core.pages import FILES_DEFAULT, FILES_MAX, parse_list_files
from vbatch.gateway.core.server_views import FileCheckObject
from vbatch.gateway.core.views import FileDeletedObject, FileObject, Page, file_view
from vbatch.gateway.flows import files as flow
from vbatch.gateway.flows.file_check import check_file as check, parse_check_params
from vbatch.gateway.flows.upload import upload

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.post(
    "",
    response_model=FileObject,
    dependencies=[Depends(limit_uploads), Depends(must_have_space), Depends(must_have_quota_for_file)],
    responses=file_errors(400, 408, 415, 429, 507),
    openapi_extra={"requestBody": body("multipart/form-data", UPLOAD)},
)
async def upload_file(request: Request, owner: User, dependencies: TheDependencies) -> Response:
    """Upload a file; the parts of the form may come in any order. A batch file may have 200 MB, or the limit that this
    server sets; any other file may have 512 MB."""
    check_length(request, bytes_max(None, dependencies.batch_file_bytes_max))
    content_type = request.headers.get("content-type")
    form = MultipartForm(content_type, request.stream(), file_field="file", other_fields=FIELDS)
    return object_answer(file_view(await upload(dependencies, owner, form)))


@router.get(
    "",
    response_model=Page[FileObject],
    responses=file_errors(400),
    openapi_extra={
        "parameters": [
            query("after", STRING, "The last id of the page before."),
            query(
                "limit", {"type": "integer", "minimum": 1, "maximum": FILES_MAX, "default": FILES_DEFAULT}, "Page size."
            ),
            query("order", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}, "By time of creation."),
            query("purpose", STRING, "Only files of this purpose."),
        ]
    },
)
async def list_files(request: Request, owner: Reader, dependencies: TheDependencies) -> Response:
    """List files, newest first."""
    params = parse_list_files(request.query_params)
    return await page_answer(await flow.list_files(dependencies, owner, params), file_view, limit=params.limit)


@router.get("/{file_id}", response_model=FileObject, responses=file_errors(404))
async def retrieve_file(file_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """Retrieve a file."""
    return object_answer(file_view(await flow.find_file(dependencies, owner, file_id)))


@router.delete("/{file_id}", response_model=FileDeletedObject, responses=file_errors(404))
async def delete_file(file_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Delete a file. Batches keep its id."""
    return object_answer(FileDeletedObject(id=await flow.delete_file(dependencies, owner, file_id)))


@router.post(
    "/{file_id}/check",
    response_model=FileCheckObject,
    dependencies=[Depends(limit_uploads)],
    responses=file_errors(400, 404, 408, 429),
    openapi_extra={"requestBody": body(JSON, CHECK_FILE)},
)
async def check_file(request: Request, file_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Check whether a batch file can run at an endpoint. The answer is what validation would say, and no batch is
    created."""
    endpoint = parse_check_params(await read_body(request))
    return object_answer(await check(dependencies, owner, file_id, endpoint))


@router.get(
    "/{file_id}/content",
    response_class=Response,
    responses={
        **text_answer(BINARY, "The bytes of the file."),
        **text_answer(BINARY, "The range that was asked for.", status=206),
        **file_errors(400, 404, 416),
    },
    openapi_extra={"parameters": [header("Range", "One byte range: `bytes=first-last`.")]},
)
async def download_file(request: Request, file_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """Download a file, or one byte range of it."""
    found = await flow.download(dependencies, owner, file_id, request.headers.get("range"))
    headers = {"content-disposition": attachment(found.file.filename), "accept-ranges": "bytes"}
    if found.part is None:
        headers["content-length"] = str(found.size)
        return await stream_answer(found.content, media_type=BINARY, headers=headers)
    headers["content-length"] = str(found.part.end - found.part.start)
    headers["content-range"] = f"bytes {found.part.start}-{found.part.end - 1}/{found.size}"
    return await stream_answer(found.content, media_type=BINARY, headers=headers, status=206)
