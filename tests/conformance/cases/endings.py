"""How batches end: which timestamps are set, which files there are, what is counted, and what a cancel may still do."""

from __future__ import annotations

import time

import openai

from tests.conformance.cases.server import SLOW, Server, refused, requests

ALWAYS = {"created_at", "expires_at"}
NEVER_RAN = {
    "code": "batch_cancelled",
    "message": "This request was not executed because the batch was cancelled.",
}


def a_completed_batch_has_its_timestamps_in_order(server: Server) -> None:
    done = server.ended(server.create(requests(3)).id)
    assert _stamps(server, done.id) == ALWAYS | {"in_progress_at", "finalizing_at", "completed_at"}
    assert done.created_at <= done.in_progress_at <= done.finalizing_at <= done.completed_at


def a_batch_cancelled_while_it_runs_keeps_what_it_has(server: Server) -> None:
    batch_id = server.create(requests(2_000, model=SLOW)).id
    while server.client.batches.retrieve(batch_id).request_counts.completed == 0:
        time.sleep(0.02)
    asked = server.client.batches.cancel(batch_id)
    assert asked.status == "cancelling" and asked.cancelling_at and asked.output_file_id is None
    assert server.client.batches.cancel(batch_id).status in ("cancelling", "cancelled")
    done = server.ended(batch_id)
    assert done.status == server.client.batches.cancel(batch_id).status == "cancelled"
    assert _stamps(server, batch_id) == ALWAYS | {"in_progress_at", "cancelling_at", "cancelled_at"}
    answered, never_ran = server.lines_of(done.output_file_id), server.lines_of(done.error_file_id)
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (2_000, len(answered), 0)
    assert len({line["custom_id"] for line in answered + never_ran}) == 2_000
    assert all(line["response"] is None and line["error"] == NEVER_RAN for line in never_ran)


def a_batch_cancelled_before_it_ran_has_nothing(server: Server) -> None:
    batch_id = server.create(requests(20_000, model=SLOW)).id
    assert server.client.batches.cancel(batch_id).status == "cancelling"
    raw = server.raw("GET", f"/v1/batches/{server.ended(batch_id).id}").json
    if raw["in_progress_at"] is None:  # else validation was quicker than the cancel
        assert (raw["model"], raw["output_file_id"], raw["error_file_id"]) == (None, None, None)
        assert raw["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
        assert _stamps(server, batch_id) == ALWAYS | {"cancelling_at", "cancelled_at"}


def a_cancel_that_comes_too_late_is_refused_once(server: Server) -> None:
    completed = server.ended(server.create(requests(1)).id)
    failed = server.ended(server.create(b"{no\n").id)
    for batch in (completed, failed):
        asked = _cancels_asked(server)
        words = f"Cannot cancel a batch with status '{batch.status}'."
        with refused(openai.ConflictError, param=None, code=None, message=words):
            server.client.with_options(max_retries=3).batches.cancel(batch.id)
        assert _cancels_asked(server) == asked + 1, "the client sent the 409 again"
        answer = server.raw("POST", f"/v1/batches/{batch.id}/cancel", b"")
        assert answer.headers["x-should-retry"] == "false"


def _cancels_asked(server: Server) -> float:
    """How many the gateway has answered, whatever their status."""
    lines = server.raw("GET", "/metrics").body.decode().splitlines()
    counted = [line for line in lines if line.startswith("vbatch_http_requests_total{") and '/cancel"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in counted)


def a_batch_outlives_its_input_file(server: Server) -> None:
    batch = server.create(requests(200, model=SLOW))
    while server.client.batches.retrieve(batch.id).status == "validating":
        time.sleep(0.02)
    server.client.files.delete(batch.input_file_id)
    done = server.ended(batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 200)
    assert done.input_file_id == batch.input_file_id


def _stamps(server: Server, batch_id: str) -> set[str]:
    raw = server.raw("GET", f"/v1/batches/{batch_id}").json
    return {key for key, value in raw.items() if key.endswith("_at") and value is not None}
