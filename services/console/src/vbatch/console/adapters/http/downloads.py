"""Files on their way from the API to the browser."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager

from fastapi.responses import StreamingResponse
from starlette.responses import Response

from vbatch.console.ports import Download


async def sent(opened: AbstractAsyncContextManager[Download]) -> Response:
    """Return a download: whatever it contains, no browser opens it as a page. Raises what opening it raises."""
    download = await opened.__aenter__()

    async def content() -> AsyncGenerator[bytes, None]:
        try:
            async for piece in download.content:
                yield piece
        finally:
            await opened.__aexit__(None, None, None)

    headers = dict(download.headers) | {"content-security-policy": "sandbox; default-src 'none'"}
    return StreamingResponse(content(), media_type="application/octet-stream", headers=headers)
