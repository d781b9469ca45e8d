"""The routes that describe the state of the server: its services, its models as they are served."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response

from vbatch.chassis.readiness import CheckResult
from vbatch.gateway.adapters.http.answers import object_answer
from vbatch.gateway.adapters.http.app_state import AppState, Reader, TheAppState
from vbatch.gateway.adapters.http.describe import errors
from vbatch.gateway.core.server_views import (
    RegistryObject,
    ServerObject,
    ServiceReport,
    ServiceState,
    registry_view,
    service_view,
)

router = APIRouter(prefix="/v1", tags=["server"])


@router.get("/server", response_model=ServerObject, responses=errors())
async def retrieve_server(_owner: Reader, parts: TheAppState) -> Response:
    """Whether each service can do its work, as the service itself reports, and when it was asked."""
    reports = await service_reports(parts)
    is_ready = all(each.state is ServiceState.READY for each in reports)
    return object_answer(
        ServerObject(version=_version(), is_ready=is_ready, services=[service_view(each) for each in reports])
    )


@router.get("/registry", response_model=RegistryObject, responses=errors())
async def retrieve_registry(_owner: Reader, parts: TheAppState) -> Response:
    """The models, with where they come from, how they are served, and how their last loads went."""
    models = await parts.dependencies.reads.defined_models()
    return object_answer(registry_view(models, await parts.model_loads.histories()))


async def service_reports(parts: AppState) -> list[ServiceReport]:
    """Return what each service reports of itself, the gateway first."""
    report = await parts.monitoring.readiness.report()
    return [_own(parts, report.checks), *await parts.dependencies.services.reports()]


def _own(parts: AppState, checks: dict[str, CheckResult]) -> ServiceReport:
    """Return the report of the gateway itself, as `/ready` gives it."""
    is_ready = all(check.ok for check in checks.values())
    said = [f"{name}: {check.detail}" for name, check in checks.items() if is_ready or not check.ok]
    state = ServiceState.READY if is_ready else ServiceState.NOT_READY
    return ServiceReport("gateway", state, "; ".join(said), parts.dependencies.now())


def _version() -> str:
    return version("vbatch-gateway")
