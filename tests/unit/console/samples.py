"""Objects of the API with only what a test says about them."""

from __future__ import annotations

from vbatch.console.core import api_objects as api
from vbatch.contracts.lifecycle import BatchStatus

READY = api.Server("0.1.0", True, (api.Service("gateway", "ready", "all is well", 100),))
RUNNER = api.Runner("gpu0", "ready", "cpu", 1 << 30, "model-a", 64, "", 90)


def batch(
    name: str = "batch_1",
    *,
    status: BatchStatus = BatchStatus.IN_PROGRESS,
    total: int = 10,
    completed: int = 0,
    failed: int = 0,
    **more: object,
) -> api.Batch:
    fields: dict[str, object] = {
        "id": name,
        "endpoint": "/v1/chat/completions",
        "model": "model-a",
        "input_file_id": "file-1",
        "completion_window": "24h",
        "status": status,
        "created_at": 1,
        "expires_at": 86_401,
        "request_counts": api.Counts(total, completed, failed),
        "usage": api.Usage(0, 0),
        "metadata": None,
        "priority": 0,
    }
    missing = {field: None for field in api.Batch.__struct_fields__ if field not in fields}
    return api.Batch(**missing | fields | more)  # type: ignore[arg-type]  # the fields a test names


def entry(name: str = "batch_1", *, eta: api.Eta | None = None, **more: object) -> api.QueueEntry:
    fields: dict[str, object] = {
        "batch_id": name,
        "model": "model-a",
        "status": BatchStatus.IN_PROGRESS,
        "priority": 0,
        "waiting_requests": 5,
        "eta": eta,
    }
    missing = {field: None for field in api.QueueEntry.__struct_fields__ if field not in fields}
    return api.QueueEntry(**missing | fields | more)  # type: ignore[arg-type]  # the fields a test names
