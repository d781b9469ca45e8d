"""The page where Label Studio says that something changed. A request without the secret is refused; the body is not
read."""

from __future__ import annotations

import asyncio
import hmac

from aiohttp import web

from vbatch.labeler.adapters.label_studio import SECRET_HEADER

BELL_PATH = "/label-studio"


def bell_page(bell: asyncio.Event, secret: str) -> web.RouteDef:
    async def ring(request: web.Request) -> web.Response:
        given = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            return web.json_response({}, status=403)
        bell.set()
        return web.json_response({})

    return web.post(BELL_PATH, ring)
