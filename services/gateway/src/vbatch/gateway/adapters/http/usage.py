"""The routes that report usage: one's own and, for admins, that of all owners."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.adapters.http.answers import attachment, object_answer
from vbatch.gateway.adapters.http.app_state import Admin, Reader, TheAppState, TheDependencies
from vbatch.gateway.adapters.http.describe import Description, errors, query
from vbatch.gateway.core.usage import DAYS_DEFAULT, DAYS_MAX, UsageObject, parse_usage_params, usage_table
from vbatch.gateway.flows.usage import usage
from vbatch.gateway.ports import Dependencies

router = APIRouter(prefix="/v1", tags=["usage"])

DAY = {"type": "string", "format": "date"}
ASKED = {
    "parameters": [
        query("first_day", DAY, f"A UTC day; by default {DAYS_DEFAULT - 1} days before the last."),
        query("last_day", DAY, f"A UTC day, by default today; at most {DAYS_MAX} days are told at once."),
        query("format", {"type": "string", "enum": ["json", "csv"], "default": "json"}, "`csv` gives a table."),
    ]
}
CSV: dict[int | str, Description] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
"""The other format of a successful answer."""


@router.get("/usage", response_model=UsageObject, responses=CSV | errors(400), openapi_extra=ASKED)
async def own_usage(request: Request, owner: Reader, dependencies: TheDependencies) -> Response:
    """What you used, by day and model: requests, tokens, failures, and for how long your batches were answered."""
    return await _told(request, dependencies, owner)


@router.get("/admin/usage", response_model=UsageObject, responses=CSV | errors(400, 403), openapi_extra=ASKED)
async def usage_of_all(request: Request, _caller: Admin, parts: TheAppState) -> Response:
    """What all owners used, by day, owner and model."""
    return await _told(request, parts.dependencies, None)


async def _told(request: Request, dependencies: Dependencies, owner: OwnerId | None) -> Response:
    ask = parse_usage_params(request.query_params, dependencies.now().date())
    told = await usage(dependencies, owner, ask)
    if not ask.is_csv:
        return object_answer(told)
    headers = {"content-disposition": attachment(f"usage-{ask.first}-{ask.last}.csv")}
    return Response(usage_table(told), media_type="text/csv; charset=utf-8", headers=headers)
