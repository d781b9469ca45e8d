"""What the routes find in the application: the caller and its rights, the dependencies, the readiness and the metrics.

Every route below `/v1` names the scope it needs, as the type of an argument (`Reader`, `User`, `Admin`) or among its
dependencies; openapi.json shows it.

Little here waits, yet all of it is `async`: FastAPI calls a plain function in a thread, and the answer would wait for
its turns on the processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.requests import HTTPConnection
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from prometheus_client import CollectorRegistry

from vbatch.chassis.readiness import Readiness
from vbatch.chassis.readings import Readings
from vbatch.contracts.access import Scope
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.reported_settings import ReportedSettings
from vbatch.gateway.adapters.http.answers import announced_bytes
from vbatch.gateway.adapters.http.raw_headers import header_in
from vbatch.gateway.adapters.http.request_metrics import RequestMetrics
from vbatch.gateway.adapters.http.request_middleware import BodyTimeouts
from vbatch.gateway.adapters.interactive_metrics import InteractiveMetrics
from vbatch.gateway.adapters.sse import OpenStreams
from vbatch.gateway.core.access import LOCAL_CALLER, Access, Caller, is_asked_from_here
from vbatch.gateway.core.admission import Admission
from vbatch.gateway.core.files.uploads import FILE_BYTES_MAX
from vbatch.gateway.core.keys import owner_name
from vbatch.gateway.core.rate_limits import Allowance, KeyLimits, Limited, RateLimit
from vbatch.gateway.core.refusals import Reason, Refusal, scope_missing
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.administration import Administration
from vbatch.gateway.flows.curation.datasets import Datasets
from vbatch.gateway.flows.curation.evaluations import Evaluations
from vbatch.gateway.flows.curation.judgements import Judgements
from vbatch.gateway.flows.curation.labelings import Labelings
from vbatch.gateway.flows.event_log import Ownership
from vbatch.gateway.flows.interactive import Interactive
from vbatch.gateway.flows.model_loads import ModelLoads
from vbatch.gateway.flows.quotas import must_have_room_for_bytes
from vbatch.gateway.flows.runner_drains import RunnerSteering
from vbatch.gateway.flows.webhooks import Webhooks
from vbatch.gateway.flows.writing import ACTOR, Actor
from vbatch.gateway.ports import Dependencies, DryRunFeed

ON_BEHALF_HEADER = "x-vbatch-owner"

_bearer = HTTPBearer(auto_error=False, description="An API key; any or none when the server was started without keys.")


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What the gateway reports about its own state."""

    readiness: Readiness
    registry: CollectorRegistry
    metrics: RequestMetrics
    readings: Readings


@dataclass(frozen=True, slots=True)
class InteractiveLane:
    """What the routes of interactive requests need."""

    requests: Interactive
    metrics: InteractiveMetrics
    limit: RateLimit


@dataclass(frozen=True, slots=True)
class Curation:
    """Judgements of answers, and what is made of them."""

    judgements: Judgements
    datasets: Datasets
    labelings: Labelings
    evaluations: Evaluations


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """The settings of this process. `secrets` blocks, and returns the texts that must not be in a support bundle."""

    reported: ReportedSettings
    secrets: Callable[[], list[str]]


@dataclass(frozen=True, slots=True)
class AppState:
    dependencies: Dependencies
    monitoring: Monitoring
    access: Access
    feed: AccessFeed
    admission: Admission
    limits: KeyLimits
    last_used: dict[str, datetime]
    """When each key was last used, in this process."""
    streams: OpenStreams
    heartbeat_seconds: float
    body_timeouts: BodyTimeouts
    dry_runs: DryRunFeed
    ownership: Ownership
    model_loads: ModelLoads
    interactive: InteractiveLane
    webhooks: Webhooks
    webhooks_may_be_private: bool
    curation: Curation
    administration: Administration
    runners: RunnerSteering
    own_settings: OwnSettings
    has_open_pages: bool = False


async def app_state_of(request: Request) -> AppState:
    return _app_state(request)


async def dependencies_of(request: Request) -> Dependencies:
    return _app_state(request).dependencies


async def caller_of(
    request: Request,
    scopes: SecurityScopes,
    _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """Return the caller, admitted and allowed. Raises Refusal when the key is missing, wrong or of too narrow a
    scope."""
    return admitted(request, Scope(scopes.scopes[0]))


def admitted(request: Request, scope: Scope) -> Caller:
    """Return the caller, admitted and allowed. Raises Refusal when the key is missing, wrong or of too narrow a
    scope."""
    parts, address, state = _app_state(request), address_of(request), request.state
    now = parts.dependencies.now()
    caller = parts.admission.admit(header_in(request.scope, b"authorization"), address, now)
    parts.access.must_be_allowed(caller, scope)
    if caller is LOCAL_CALLER and scope is Scope.ADMIN:
        _must_be_asked_from_here(request)
    caller = _on_behalf(parts, caller, header_in(request.scope, ON_BEHALF_HEADER.encode()))
    state.owner, state.caller = caller.owner, caller.name
    state.on_received = partial(_charge_bytes, parts, caller)
    ACTOR.set(Actor(caller.name, address))
    parts.last_used[caller.name] = now
    if request.method == "GET":
        _limit(request, caller, Limited.READS)
    elif request.method == "POST":
        _must_be_out_of_debt(request, caller, now)
    return caller


async def owner_of(caller: Annotated[Caller, Depends(caller_of)]) -> OwnerId:
    """Return the owner whose objects the request is about."""
    return caller.owner


Reader = Annotated[OwnerId, Security(owner_of, scopes=[Scope.READ])]
"""For routes that read the objects of an owner."""
User = Annotated[OwnerId, Security(owner_of, scopes=[Scope.USER])]
"""For routes that make or change them."""
ReadingCaller = Annotated[Caller, Security(caller_of, scopes=[Scope.READ])]
UsingCaller = Annotated[Caller, Security(caller_of, scopes=[Scope.USER])]
Admin = Annotated[Caller, Security(caller_of, scopes=[Scope.ADMIN])]
"""For routes that act on all owners."""
NEEDS_READ = Security(caller_of, scopes=[Scope.READ])
"""For routes that need no owner."""


async def limit_creates(request: Request, caller: UsingCaller) -> None:
    """Raises Refusal when the caller is over the rate limit."""
    _limit(request, caller, Limited.CREATES)


async def limit_uploads(request: Request, caller: UsingCaller) -> None:
    """Raises Refusal when the caller is over the rate limit."""
    _limit(request, caller, Limited.UPLOADS)


def limit_interactive(request: Request, caller: Caller) -> None:
    """Raises Refusal when the caller is over the rate limit of interactive requests."""
    parts = _app_state(request)
    if not parts.interactive.limit.per_minute:
        return
    allowance = parts.interactive.limit.take(caller.name, parts.dependencies.now())
    if allowance is not None:
        _apply_limit(request, allowance, "requests")


async def must_have_quota_for_file(request: Request, owner: User) -> None:
    """Raises Refusal when the owner has no quota left; before the bytes are read if their number is announced."""
    await must_have_room_for_bytes(
        _app_state(request).dependencies, owner, min(announced_bytes(request), FILE_BYTES_MAX)
    )


async def must_have_space(request: Request, _owner: User) -> None:
    """Raises Refusal when the disk or the log is too full. The size limit of a file is checked elsewhere."""
    await _app_state(request).dependencies.disk_guard.check(min(announced_bytes(request), FILE_BYTES_MAX))


def still(parts: AppState, caller: Caller) -> Callable[[], bool]:
    """Return a function that says, while a stream is open, whether its caller would still be admitted."""
    return lambda: parts.access.is_still(caller, parts.dependencies.now())


def _app_state(request: Request) -> AppState:
    return cast(AppState, request.app.state.parts)


def _must_be_asked_from_here(request: Request) -> None:
    """Raises Refusal for a request that does not come from this machine."""
    if not is_asked_from_here(request.headers.get("host"), request.headers.get("origin")):
        raise scope_missing(Scope.ADMIN)


def _on_behalf(parts: AppState, caller: Caller, owner: str | None) -> Caller:
    """Return the caller, acting for the owner that an admin names. Raises Refusal if another caller names an owner."""
    if owner is None:
        return caller
    parts.access.must_be_allowed(caller, Scope.ADMIN)
    return replace(caller, owner=owner_name(owner, ON_BEHALF_HEADER))


def address_of(request: HTTPConnection) -> str:
    """Return the address the request came from; a proxy that the settings trust may name it (uvicorn handles that)."""
    return request.client.host if request.client is not None else ""


def _limit(request: Request, caller: Caller, limited: Limited) -> None:
    parts = _app_state(request)
    allowance = parts.limits.of(limited).take(caller.name, parts.dependencies.now())
    if allowance is not None:
        _apply_limit(request, allowance, limited.unit)


def _must_be_out_of_debt(request: Request, caller: Caller, now: datetime) -> None:
    allowance = _app_state(request).limits.of(Limited.BYTES).look(caller.name, now)
    if allowance is not None:
        _apply_limit(request, allowance, Limited.BYTES.unit)


def _apply_limit(request: Request, allowance: Allowance, unit: str) -> None:
    """Set the rate limit headers of the answer, whatever its status. Raises Refusal."""
    before = getattr(request.state, "rate_headers", {})
    request.state.rate_headers = before | allowance.headers(unit)
    if allowance.wait_seconds:
        words = f"Limit: {allowance.limit} a minute. Please try again in {allowance.wait_seconds:.1f}s."
        raise Refusal(Reason.RATE_LIMITED, f"Rate limit reached for {unit} of this kind. {words}")


def _charge_bytes(parts: AppState, caller: Caller, size: int) -> None:
    """Charge the bytes of a body at its end, when their number is known; the caller waits for any excess before the
    next body."""
    if (limit := parts.limits.of(Limited.BYTES)).per_minute:
        limit.charge(caller.name, size, parts.dependencies.now())


TheAppState = Annotated[AppState, Depends(app_state_of)]
TheDependencies = Annotated[Dependencies, Depends(dependencies_of)]
