"""The routes of batches, of their answers so far and of their live events."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.adapters.http.answers import JSON, JSONL, object_answer, page_answer, read_body, stream_answer
from vbatch.gateway.adapters.http.app_state import (
    Reader,
    ReadingCaller,
    TheAppState,
    TheDependencies,
    User,
    limit_creates,
    must_have_space,
    still,
)
from vbatch.gateway.adapters.http.describe import (
    CREATE_BATCH,
    RETRY_BATCH,
    STRING,
    UPDATE_BATCH,
    body,
    errors,
    header,
    query,
    text_answer,
)
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.adapters.sse import event_stream, open_stream
from vbatch.gateway.core.batches.create_batch import is_retry, parse_create_batch
from vbatch.gateway.core.batches.manifest import ManifestObject
from vbatch.gateway.core.batches.retry import parse_retry
from vbatch.gateway.core.batches.steering import Pause, Resume, parse_priority
from vbatch.gateway.core.dry_run_views import DryRunObject
from vbatch.gateway.core.live_events import read_last_event_id
from vbatch.gateway.core.merged_answers import FAMILY_MAX
from vbatch.gateway.core.pages import (
    BATCHES_DEFAULT,
    BATCHES_MAX,
    RESULTS_DEFAULT,
    RESULTS_MAX,
    asks_for_merged,
    parse_list_batches,
    parse_list_results,
    parse_tail_results,
)
from vbatch.gateway.core.records import BatchRecord
from vbatch.gateway.core.views import BatchObject, Page, batch_view
from vbatch.gateway.flows import batches as flow
from vbatch.gateway.flows.dry_run import dry_run
from vbatch.gateway.flows.live_events import has_nothing_more, live_events
from vbatch.gateway.flows.manifest import manifest_of
from vbatch.gateway.flows.merged_results import merged_results
from vbatch.gateway.flows.new_batches import Created, NewBatch, Retried
from vbatch.gateway.flows.results import results_from, results_so_far
from vbatch.gateway.ports import Dependencies

EVENT_STREAM = "text/event-stream"
NATURAL = {"type": "integer", "minimum": 0}
METADATA_FILTER = query(
    "metadata", {"type": "object", "additionalProperties": STRING}, "Only with these: `metadata[key]=value`."
) | {"style": "deepObject", "explode": True}

IDEMPOTENCY = [
    header("Idempotency-Key", "The same key with the same parameters always returns the same batch."),
    header("x-stainless-retry-count", "From 1 on, the batch of the same ask made in the last minute is given."),
]

router = APIRouter(prefix="/v1/batches", tags=["batches"])


@router.post(
    "",
    response_model=BatchObject | DryRunObject,
    dependencies=[Depends(limit_creates), Depends(must_have_space)],
    responses=errors(400, 403, 404, 408, 409, 415, 429, 502, 504, 507),
    openapi_extra={
        "requestBody": body(JSON, CREATE_BATCH),
        "parameters": IDEMPOTENCY,
    },
)
async def create_batch(request: Request, owner: User, parts: TheAppState) -> Response:
    """Create a batch. Only the request itself is checked here: an unsuitable input file ends the batch as `failed`.

    With `requests` instead of `input_file_id` the server makes the input file. With `models` it creates a batch for
    each of them, with one `fanout_id`, and returns the first. With `dry_run` nothing is created: the server runs a few
    lines of the file now and estimates the cost of all of them.
    """
    dependencies, params = parts.dependencies, parse_create_batch(await read_body(request))
    if params.dry_run is not None and params.input_file_id is not None:
        trial = dry_run(dependencies, parts.dry_runs, parts.interactive.requests, request.state.request_id)
        return object_answer(await trial.run(owner, params.input_file_id, params, params.dry_run))
    return _shown(dependencies, await _created(request, owner, dependencies, Created(params)))


@router.get(
    "",
    response_model=Page[BatchObject],
    responses=errors(400),
    openapi_extra={
        "parameters": [
            query("after", STRING, "The last id of the page before."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": BATCHES_MAX, "default": BATCHES_DEFAULT},
                "Page size.",
            ),
            query("status", STRING, "Only batches of this status, or of these, with commas between."),
            query("created_after", NATURAL, "Only batches created at this second (Unix) or later."),
            query("created_before", NATURAL, "Only batches created before this second (Unix)."),
            METADATA_FILTER,
        ]
    },
)
async def list_batches(request: Request, owner: Reader, dependencies: TheDependencies) -> Response:
    """List batches, newest first."""
    params = parse_list_batches(request.query_params)
    found = await flow.list_batches(dependencies, owner, params)
    return await page_answer(
        found, lambda batch: batch_view(batch, dependencies.forecasts.of(batch.id)), limit=params.limit
    )


@router.get("/{batch_id}", response_model=BatchObject, responses=errors(400, 404))
async def retrieve_batch(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """Retrieve a batch."""
    return _shown(dependencies, await flow.find_batch(dependencies, owner, batch_id))


@router.post("/{batch_id}/cancel", response_model=BatchObject, responses=errors(400, 404, 409))
async def cancel_batch(batch_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Cancel a batch; cancelling it again is not an error. The body is not read."""
    return _shown(dependencies, await flow.cancel_batch(dependencies, owner, batch_id))


@router.post(
    "/{batch_id}/retry",
    response_model=BatchObject,
    dependencies=[Depends(limit_creates), Depends(must_have_space)],
    responses=errors(400, 403, 404, 408, 409, 415, 429, 507),
    openapi_extra={"requestBody": body(JSON, RETRY_BATCH, is_required=False), "parameters": IDEMPOTENCY},
)
async def retry_batch(request: Request, batch_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Run requests of an ended batch again, as a new batch with `retry_of`: by default every request without a
    successful answer. The server makes its input file. `GET /v1/batches/{batch_id}/results?merged=true` returns the
    newest answers of both."""
    params = parse_retry(await read_body(request))
    asked = Retried(await flow.batch_to_retry(dependencies, owner, batch_id), params)
    return _shown(dependencies, await _created(request, owner, dependencies, asked))


@router.post("/{batch_id}/pause", response_model=BatchObject, responses=errors(400, 404, 409))
async def pause_batch(batch_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Start no more requests of a batch until it is resumed; requests inside the engine finish. Its completion window
    keeps running, and it can be cancelled. Pausing it again is not an error. The body is not read."""
    return _shown(dependencies, await flow.steer_batch(dependencies, owner, batch_id, Pause()))


@router.post("/{batch_id}/resume", response_model=BatchObject, responses=errors(400, 404, 409))
async def resume_batch(batch_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Let a paused batch run again; resuming it again is not an error. The body is not read."""
    return _shown(dependencies, await flow.steer_batch(dependencies, owner, batch_id, Resume()))


@router.post(
    "/{batch_id}",
    response_model=BatchObject,
    responses=errors(400, 404, 409, 415),
    openapi_extra={"requestBody": body(JSON, UPDATE_BATCH)},
)
async def update_batch(request: Request, batch_id: Named, owner: User, dependencies: TheDependencies) -> Response:
    """Change the priority of a batch: its requests that have not started run sooner or later."""
    params = parse_priority(await read_body(request))
    return _shown(dependencies, await flow.steer_batch(dependencies, owner, batch_id, params))


@router.get(
    "/{batch_id}/results",
    response_class=Response,
    responses={**text_answer(JSONL, "Output lines, one JSON object each."), **errors(400, 404, 429)},
    openapi_extra={
        "parameters": [
            query("after_line", {"type": "integer", "minimum": 0}, "Only answers to input lines behind this one."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": RESULTS_MAX, "default": RESULTS_DEFAULT},
                "At most this many, in input order. Without `limit` and `after_line`: all, in the order recorded.",
            ),
            query(
                "after_byte", NATURAL, "In the order recorded, from this byte on: `X-Next-Byte` of the answer before."
            ),
            query("follow", {"type": "boolean", "default": False}, "Stay open and send answers as they are recorded."),
            query("merged", {"type": "boolean", "default": False}, "With the answers of its retries: see below."),
        ]
    },
)
async def batch_results(request: Request, batch_id: Named, caller: ReadingCaller, parts: TheAppState) -> Response:
    """Return the answers so far, while the batch runs and afterwards. `X-Incomplete` says whether more can follow,
    `X-Last-Line` is the highest input line among those sent.

    With `merged=true`, return one line for each `custom_id` of the batch and its retries: the newest successful answer,
    or the newest answer if none was successful. A request that never ran is left out.
    """
    dependencies, owner, tail = parts.dependencies, caller.owner, parse_tail_results(request.query_params)
    if asks_for_merged(request.query_params):
        tail, found = None, await merged_results(dependencies, owner, batch_id)
    elif tail is None:
        found = await results_so_far(dependencies, owner, batch_id, parse_list_results(request.query_params))
    else:
        found = await results_from(dependencies, owner, batch_id, tail)
    headers = {"x-incomplete": str(found.is_incomplete).lower(), "x-last-line": str(found.last_line)}
    if found.next_byte is not None:
        headers["x-next-byte"] = str(found.next_byte)
    if tail is not None and tail.is_following:
        parts.streams.check_room()
        return open_stream(found.content, parts.streams, still(parts, caller), media_type=JSONL, headers=headers)
    return await stream_answer(found.content, media_type=JSONL, headers=headers)


@router.get("/{batch_id}/family", response_model=Page[BatchObject], responses=errors(400, 404))
async def batch_family(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """List the first batch of the family and all its direct and indirect retries, oldest first."""
    family = await flow.family_of(dependencies, owner, batch_id)
    return await page_answer(
        family, lambda batch: batch_view(batch, dependencies.forecasts.of(batch.id)), limit=FAMILY_MAX
    )


@router.get("/{batch_id}/manifest", response_model=ManifestObject, responses=errors(400, 404))
async def batch_manifest(batch_id: Named, owner: Reader, dependencies: TheDependencies) -> Response:
    """What made the answers of a batch: models with revision and digest, engines with version and settings, devices,
    and the digests of its files. The manifest is final once the batch has ended."""
    return object_answer(await manifest_of(dependencies, owner, batch_id))


@router.get(
    "/{batch_id}/events",
    response_class=Response,
    responses={
        **text_answer(EVENT_STREAM, "Server-sent events; `id` is the sequence in the log, `event` the event's name."),
        204: {"description": "The batch is over and `Last-Event-ID` was its last event."},
        **errors(400, 404, 429),
    },
    openapi_extra={"parameters": [header("Last-Event-ID", "Resume behind this event; without it from the start.")]},
)
async def batch_events(request: Request, batch_id: Named, caller: ReadingCaller, parts: TheAppState) -> Response:
    """Stream the batch's events live, each once, until the batch is over. Chunks are sent without their answers."""
    batch = await flow.find_batch(parts.dependencies, caller.owner, batch_id)
    after = read_last_event_id(request.headers.get("last-event-id"), created=batch.sequence)
    if has_nothing_more(batch, after):
        return Response(status_code=204)  # which tells an EventSource not to reconnect
    parts.streams.check_room()
    events = await live_events(parts.dependencies, batch, after, heartbeat_seconds=parts.heartbeat_seconds)
    return event_stream(events, parts.streams, still(parts, caller))


async def _created(request: Request, owner: OwnerId, dependencies: Dependencies, asked: NewBatch) -> BatchRecord:
    if key := request.headers.get("idempotency-key"):
        return await flow.create_batch_once(dependencies, owner, asked, key)
    if is_retry(request.headers.get("x-stainless-retry-count")):
        return await flow.create_batch_again(dependencies, owner, asked)
    return await flow.create_batch(dependencies, owner, asked)


def _shown(dependencies: Dependencies, batch: BatchRecord) -> Response:
    return object_answer(batch_view(batch, dependencies.forecasts.of(batch.id)))
