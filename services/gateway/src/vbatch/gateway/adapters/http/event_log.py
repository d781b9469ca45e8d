"""The routes of the event log: its pages, and its live stream."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import JSON
from vbatch.gateway.adapters.http.app_state import Reader, ReadingCaller, TheAppState, still
from vbatch.gateway.adapters.http.describe import STRING, errors, header, query, text_answer
from vbatch.gateway.adapters.sse import event_stream
from vbatch.gateway.core.event_log import (
    AGGREGATES,
    EVENTS_DEFAULT,
    EVENTS_MAX,
    EventPage,
    page_of_events,
    parse_events_params,
)
from vbatch.gateway.core.live_events import read_last_event_id
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.event_log import event_page, live_log

router = APIRouter(prefix="/v1/events", tags=["events"])

_FILTERS = [
    query("batch_id", STRING, "Only events of this batch."),
    query("aggregate", STRING, f"Only of these, with commas between: {', '.join(AGGREGATES)}."),
    query(
        "detail",
        {"type": "string", "enum": ["milestones", "all"], "default": "milestones"},
        "`all` adds dispatches, chunks and parts of uploads.",
    ),
]


@router.get(
    "",
    response_model=EventPage,
    responses=errors(400, 404),
    openapi_extra={
        "parameters": [
            query("before", {"type": "integer", "minimum": 1}, "Only events before this sequence: `next_before`."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": EVENTS_MAX, "default": EVENTS_DEFAULT},
                "Page size; a page may be shorter although `has_more` is true.",
            ),
            *_FILTERS,
        ]
    },
)
async def list_events(request: Request, owner: Reader, parts: TheAppState) -> Response:
    """What has happened to your files and batches, to the models and to the server, newest first."""
    found = await event_page(parts.dependencies, parts.ownership, owner, parse_events_params(request.query_params))
    return Response(page_of_events(found.events, found.next_before), media_type=JSON)


@router.get(
    "/live",
    response_class=Response,
    responses={
        **text_answer("text/event-stream", "Server-sent events: `data` is an event as in the list."),
        **errors(400, 404, 429),
    },
    openapi_extra={
        "parameters": [
            header("Last-Event-ID", "Resume behind this event; without it the stream begins now."),
            *_FILTERS,
        ]
    },
)
async def live_events_of_owner(request: Request, caller: ReadingCaller, parts: TheAppState) -> Response:
    """The same events live, without an end. The first message is `log.position`. New answers of a batch are announced
    by `batch.chunk_completed`, without an id and with nothing but the batch's id."""
    params, head = parse_events_params(request.query_params), await parts.dependencies.log.last_sequence()
    if params.batch_id is not None:
        await find_batch(parts.dependencies, caller.owner, params.batch_id)
    resumed = request.headers.get("last-event-id")
    after = min(head, read_last_event_id(resumed, created=1)) if resumed else head
    parts.streams.check_room()
    events = live_log(
        parts.dependencies,
        parts.ownership,
        caller.owner,
        params,
        after=after,
        heartbeat_seconds=parts.heartbeat_seconds,
    )
    return event_stream(events, parts.streams, still(parts, caller))
