"""What the routes find in the application: the world, the keys, the readiness and the figures.

Little here waits, yet all of it is `async`: FastAPI calls a plain function in a thread, and the answer would wait for
its turns on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry

from vbatch.chassis.readiness import Readiness
from vbatch.contracts.ids import OwnerId
from vbatch.gateway.adapters.http.answers import announced_bytes
from vbatch.gateway.adapters.http.request_metrics import RequestMetrics
from vbatch.gateway.adapters.http.request_middleware import BodyTimeouts
from vbatch.gateway.adapters.sse import OpenStreams
from vbatch.gateway.core.api_keys import ApiKeys
from vbatch.gateway.core.files.uploads import FILE_BYTES_MAX
from vbatch.gateway.core.rate_limits import RateLimit
from vbatch.gateway.core.refusals import Reason, Refusal
from vbatch.gateway.ports import Dependencies

_bearer = HTTPBearer(auto_error=False, description="An API key; any or none when the server was started without keys.")


@dataclass(frozen=True, slots=True)
class AppState:
    dependencies: Dependencies
    keys: ApiKeys
    streams: OpenStreams
    readiness: Readiness
    registry: CollectorRegistry
    metrics: RequestMetrics
    heartbeat_seconds: float
    body_timeouts: BodyTimeouts
    creates: RateLimit
    uploads: RateLimit
    has_open_pages: bool = False


async def app_state_of(request: Request) -> AppState:
    return _app_state(request)


async def dependencies_of(request: Request) -> Dependencies:
    return _app_state(request).dependencies


async def owner_of(
    request: Request, _credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> OwnerId:
    """The owner of the key. Raises Refusal when the key is missing or wrong."""
    owner = _app_state(request).keys.owner(request.headers.get("authorization"))
    request.state.owner = owner
    return owner


async def limit_creates(request: Request, owner: Annotated[OwnerId, Depends(owner_of)]) -> None:
    """Raises Refusal when the owner is over the rate limit."""
    _limit(request, owner, _app_state(request).creates)


async def limit_uploads(request: Request, owner: Annotated[OwnerId, Depends(owner_of)]) -> None:
    """Raises Refusal when the owner is over the rate limit."""
    _limit(request, owner, _app_state(request).uploads)


async def must_have_space(request: Request, _owner: Annotated[OwnerId, Depends(owner_of)]) -> None:
    """Raises Refusal when the disk or the log is too full. A file that is too large anywhere is refused elsewhere."""
    await _app_state(request).dependencies.disk_guard.check(min(announced_bytes(request), FILE_BYTES_MAX))


def _app_state(request: Request) -> AppState:
    return cast(AppState, request.app.state.parts)


def _limit(request: Request, owner: OwnerId, rate: RateLimit) -> None:
    allowance = rate.take(owner, _app_state(request).dependencies.now())
    if allowance is None:
        return
    request.state.rate_headers = allowance.headers()
    if allowance.wait_seconds:
        words = f"Limit: {allowance.limit} a minute. Please try again in {allowance.wait_seconds:.1f}s."
        raise Refusal(Reason.RATE_LIMITED, f"Rate limit reached for requests of this kind. {words}")


TheAppState = Annotated[AppState, Depends(app_state_of)]
TheDependencies = Annotated[Dependencies, Depends(dependencies_of)]
Owner = Annotated[OwnerId, Depends(owner_of)]
