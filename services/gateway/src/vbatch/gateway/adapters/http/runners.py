"""The routes of runners: what each does, and what administrators ask of it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from vbatch.contracts.events import DrainGoal
from vbatch.contracts.ids import RunnerId
from vbatch.gateway.adapters.http.answers import JSON, object_answer, read_body
from vbatch.gateway.adapters.http.app_state import Admin, AppState, Reader, TheAppState
from vbatch.gateway.adapters.http.describe import PAUSE_QUEUE, body, errors
from vbatch.gateway.adapters.http.paths import Named
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.runner_drains import DeviceMemoryList, memory_view, read_drain_reason
from vbatch.gateway.core.server_views import RunnerList, RunnerObject, RunnerRecord, runner_view

REASON = {"requestBody": body(JSON, PAUSE_QUEUE) | {"required": False}}

router = APIRouter(prefix="/v1", tags=["server"])


@router.get("/runners", response_model=RunnerList, responses=errors())
async def list_runners(_owner: Reader, parts: TheAppState) -> Response:
    """Every runner so far, with its state, its device, and the model that is loaded or loading."""
    runners = await parts.dependencies.reads.runners()
    return object_answer(RunnerList(data=[_shown(parts, runner) for runner in runners]))


@router.get("/admin/runners/memory", response_model=DeviceMemoryList, responses=errors(403), tags=["administration"])
async def list_device_memory(_caller: Admin, parts: TheAppState) -> Response:
    """The processes that hold memory of each runner's device, as its driver reports them."""
    states = parts.interactive.requests.lanes.states().values()
    told = {RunnerId(runner.id): None for runner in await parts.dependencies.reads.runners()}
    return object_answer(memory_view(told | {state.runner_id: state.processes for state in states}))


@router.post(
    "/admin/runners/{runner_id}/drain",
    response_model=RunnerObject,
    responses=errors(400, 403, 404, 408),
    openapi_extra=REASON,
    tags=["administration"],
)
async def drain_runner(runner_id: Named, request: Request, caller: Admin, parts: TheAppState) -> Response:
    """Let the runner finish what is inside its engine and take nothing new until it is resumed, also over restarts.
    Its model stays loaded."""
    return await _drained(request, caller, parts, runner_id, DrainGoal.KEEP)


@router.post(
    "/admin/runners/{runner_id}/unload",
    response_model=RunnerObject,
    responses=errors(400, 403, 404, 408),
    openapi_extra=REASON,
    tags=["administration"],
)
async def unload_runner(runner_id: Named, request: Request, caller: Admin, parts: TheAppState) -> Response:
    """Drain the runner, and then stop every engine, so that the memory of its device is free until it is resumed."""
    return await _drained(request, caller, parts, runner_id, DrainGoal.UNLOAD)


@router.post(
    "/admin/runners/{runner_id}/restart",
    response_model=RunnerObject,
    responses=errors(400, 403, 404, 408, 409),
    openapi_extra=REASON,
    tags=["administration"],
)
async def restart_runner(runner_id: Named, request: Request, caller: Admin, parts: TheAppState) -> Response:
    """Drain the runner, and then end its process. Its supervisor starts it again, and it takes work as usual."""
    return await _drained(request, caller, parts, runner_id, DrainGoal.RESTART)


@router.post(
    "/admin/runners/{runner_id}/resume",
    response_model=RunnerObject,
    responses=errors(403, 404),
    tags=["administration"],
)
async def resume_runner(runner_id: Named, caller: Admin, parts: TheAppState) -> Response:
    """Let the runner take work again. Resuming again is not an error."""
    return object_answer(_shown(parts, await parts.runners.resume(caller, runner_id)))


async def _drained(request: Request, caller: Caller, parts: AppState, runner_id: str, goal: DrainGoal) -> Response:
    reason = read_drain_reason(await read_body(request))
    return object_answer(_shown(parts, await parts.runners.drain(caller, runner_id, goal, reason)))


def _shown(parts: AppState, runner: RunnerRecord) -> RunnerObject:
    return runner_view(runner, parts.runners.drains.find(runner.id))
