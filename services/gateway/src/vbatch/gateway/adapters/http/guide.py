"""The documentation site at /docs/guide, where it has been built (`./taskw docs:site`). It asks for no key."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

PATH = "/docs/guide"


def add_guide(app: FastAPI, folder: Path) -> None:
    """Serve the folder's files and nothing outside it; without the folder there is no such URL.

    Starlette's StaticFiles resolves each path, symbolic links too, and answers 404 for what lies elsewhere.
    """
    if not folder.is_dir():
        return

    async def to_first_page() -> RedirectResponse:
        return RedirectResponse(f"{PATH}/")

    app.add_api_route(PATH, to_first_page, include_in_schema=False)
    app.mount(PATH, StaticFiles(directory=folder, html=True), name="guide")
