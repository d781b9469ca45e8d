"""The routes of administrators: the pause of all work, dead letters, logs, settings and their changes, the support
bundle."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from vbatch.gateway.adapters.http.answers import JSON, attachment, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import Admin, AppState, TheAppState
from vbatch.gateway.adapters.http.describe import PAUSE_QUEUE, STRING, body, errors, query, text_answer
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.adapters.http.server import service_reports
from vbatch.gateway.core.changes import CHANGES_DEFAULT, CHANGES_MAX, ChangeList, changes_view, parse_changes_params
from vbatch.gateway.core.dead_letters import (
    LETTERS_DEFAULT,
    LETTERS_MAX,
    DeadLetterDetailObject,
    DeadLetterList,
    DeadLetterSettledObject,
    letter_detail_view,
    letters_view,
    parse_letters_params,
    read_letter_id,
)
from vbatch.gateway.core.log_lines import LINES_DEFAULT, LINES_MAX, LogsObject
from vbatch.gateway.core.queue_pause import QueuePauseObject, queue_pause_view, read_pause_reason
from vbatch.gateway.core.service_logs import LEVELS, SERVICES, parse_service_logs_params
from vbatch.gateway.core.settings_views import SettingsList, SettingsReport, settings_view, with_limits
from vbatch.gateway.flows.support_bundle import Bundling

BUNDLE_NAME = "vbatch-support-{at:%Y%m%d-%H%M%S}.zip"

router = APIRouter(prefix="/v1/admin", tags=["administration"])


@router.get("/queue", response_model=QueuePauseObject, responses=errors(403))
async def retrieve_queue_pause(_caller: Admin, parts: TheAppState) -> Response:
    """Whether all work is paused, since when and by whom."""
    return object_answer(queue_pause_view(parts.administration.queue_pause))


@router.post(
    "/queue/pause",
    response_model=QueuePauseObject,
    responses=errors(400, 403, 408),
    openapi_extra={"requestBody": body(JSON, PAUSE_QUEUE) | {"required": False}},
)
async def pause_queue(request: Request, caller: Admin, parts: TheAppState) -> Response:
    """Pause all work: no request of any owner starts until work is resumed. Requests inside an engine finish, and
    completion windows keep running. Pausing again is not an error."""
    reason = read_pause_reason(await read_body(request))
    await parts.administration.pause_queue(caller, reason)
    return object_answer(queue_pause_view(parts.administration.queue_pause))


@router.post("/queue/resume", response_model=QueuePauseObject, responses=errors(403))
async def resume_queue(caller: Admin, parts: TheAppState) -> Response:
    """Resume all work. A batch that was paused on its own stays paused. Resuming again is not an error."""
    await parts.administration.resume_queue(caller)
    return object_answer(queue_pause_view(parts.administration.queue_pause))


@router.get(
    "/dead_letters",
    response_model=DeadLetterList,
    responses=errors(400, 403),
    openapi_extra={
        "parameters": [
            query("after", {"type": "integer", "minimum": 0, "default": 0}, "Only what follows this letter."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LETTERS_MAX, "default": LETTERS_DEFAULT},
                "Page size.",
            ),
        ]
    },
)
async def list_dead_letters(request: Request, _caller: Admin, parts: TheAppState) -> Response:
    """The messages that a service could not use, with the reason, oldest first."""
    after, limit = parse_letters_params(request.query_params)
    return object_answer(letters_view(await parts.administration.letters(after, limit), limit))


@router.get("/dead_letters/{letter_id}", response_model=DeadLetterDetailObject, responses=errors(400, 403, 404))
async def retrieve_dead_letter(letter_id: Named, _caller: Admin, parts: TheAppState) -> Response:
    """One dead letter with its headers and the beginning of its body."""
    return object_answer(letter_detail_view(await parts.administration.letter(read_letter_id(letter_id))))


@router.post(
    "/dead_letters/{letter_id}/retry", response_model=DeadLetterSettledObject, responses=errors(400, 403, 404, 409)
)
async def retry_dead_letter(letter_id: Named, caller: Admin, parts: TheAppState) -> Response:
    """Send the message again under a new id, and remove the dead letter. Only messages that the gateway writes can be
    sent from here; `vbatch dead retry` sends the others."""
    sequence = read_letter_id(letter_id)
    stored = await parts.administration.retry(caller, sequence)
    return object_answer(DeadLetterSettledObject(id=sequence, sent_as=stored))


@router.delete("/dead_letters/{letter_id}", response_model=DeadLetterSettledObject, responses=errors(400, 403, 404))
async def drop_dead_letter(letter_id: Named, caller: Admin, parts: TheAppState) -> Response:
    """Remove a dead letter without sending it again."""
    sequence = read_letter_id(letter_id)
    await parts.administration.drop(caller, sequence)
    return object_answer(DeadLetterSettledObject(id=sequence, sent_as=None))


@router.get(
    "/logs",
    response_model=LogsObject,
    responses=errors(400, 403, 404),
    openapi_extra={
        "parameters": [
            query("service", {"type": "string", "enum": list(SERVICES)}, "Only lines of this service."),
            query("level", {"type": "string", "enum": list(LEVELS), "default": "info"}, "This level, or more severe."),
            query("text", STRING, "Only lines with this text, in whatever case."),
            query("without", STRING, "No lines with this text, such as `request_answered`."),
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LINES_MAX, "default": LINES_DEFAULT},
                "The newest lines, at most this many.",
            ),
        ]
    },
)
async def service_logs(request: Request, _caller: Admin, parts: TheAppState) -> Response:
    """The newest lines that the services logged, from the log files of this machine. They never contain a prompt or an
    answer."""
    return object_answer(await parts.administration.logs(parse_service_logs_params(request.query_params)))


@router.get("/settings", response_model=SettingsList, responses=errors(403))
async def list_settings(_caller: Admin, parts: TheAppState) -> Response:
    """The settings that each service runs with, and where each value comes from. For a secret, the answer says only
    that it is set."""
    return object_answer(settings_view(await settings_reports(parts)))


@router.get(
    "/changes",
    response_model=ChangeList,
    responses=errors(400, 403),
    openapi_extra={
        "parameters": [
            query(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": CHANGES_MAX, "default": CHANGES_DEFAULT},
                "The newest changes, at most this many.",
            )
        ]
    },
)
async def list_changes(request: Request, _caller: Admin, parts: TheAppState) -> Response:
    """The changes of rate limits and quotas while the server ran, with the values before and after, newest first."""
    limit = parse_changes_params(request.query_params)
    return object_answer(changes_view(await parts.administration.changes(limit)))


@router.get(
    "/support_bundle",
    response_class=Response,
    responses={**text_answer("application/zip", "A ZIP file."), **errors(403)},
)
async def support_bundle(_caller: Admin, parts: TheAppState) -> Response:
    """A ZIP for people who help remotely: versions, settings, states, logs, counts. It contains no secret, no prompt
    and no answer."""
    bundling = Bundling(
        administration=parts.administration,
        model_loads=parts.model_loads,
        services=await service_reports(parts),
        settings=await settings_reports(parts),
        secrets=await asyncio.to_thread(parts.own_settings.secrets),
    )
    name = BUNDLE_NAME.format(at=parts.dependencies.now())
    return Response(
        await bundling.zipped(), media_type="application/zip", headers={"content-disposition": attachment(name)}
    )


async def settings_reports(parts: AppState) -> list[SettingsReport]:
    """Return the gateway's own settings, then those of the other services."""
    own = SettingsReport("gateway", with_limits(parts.own_settings.reported, parts.limits))
    return [own, *await parts.administration.settings_of_all()]
