"""The routes of the gateway that the client uses, and the bodies it sends there."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

FILES = "/v1/files"
BATCHES = "/v1/batches"
FANOUTS = "/v1/fanouts"
DEFAULT_WINDOW = "24h"


def batch(batch_id: str, *more: str) -> str:
    """Return the path of a batch, or of what belongs to it."""
    return "/".join((BATCHES, quote(batch_id, safe=""), *more))


def fanout(fanout_id: str, *more: str) -> str:
    """Return the path of the batches of one file on several models, or of what belongs to them."""
    return "/".join((FANOUTS, quote(fanout_id, safe=""), *more))


def content(file_id: str) -> str:
    return f"{FILES}/{quote(file_id, safe='')}/content"


def range_from(start: int) -> dict[str, str]:
    """Return the header that asks for a file from this byte on."""
    return {"Range": f"bytes={start}-"} if start else {}


def new_batch(
    file_id: str, *, endpoint: str, completion_window: str, metadata: Mapping[str, str], priority: int
) -> dict[str, object]:
    """Return the body of a create request; values that are not set are left out."""
    given: dict[str, object] = {"metadata": dict(metadata), "priority": priority}
    chosen = {name: value for name, value in given.items() if value}
    return {"input_file_id": file_id, "endpoint": endpoint, "completion_window": completion_window, **chosen}
