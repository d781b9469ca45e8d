"""The documentation site at /docs/guide, if it has been built (`./taskw docs:site`). It requires no key."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles

PATH = "/docs/guide"


def add_guide(app: FastAPI, folder: Path) -> None:
    """Serve the folder's files and nothing outside it; without the folder the URL does not exist.

    Starlette's StaticFiles resolves each path, including symbolic links, and answers 404 for a target outside the
    folder.
    """
    if not folder.is_dir():
        return

    async def to_first_page() -> RedirectResponse:
        return RedirectResponse(f"{PATH}/")

    app.add_api_route(PATH, to_first_page, include_in_schema=False)
    app.mount(PATH, StaticFiles(directory=folder, html=True), name="guide")
