"""Whether a service can do its work now: named checks, each with its own time limit.

A check that cannot be measured counts as not ready.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from time import perf_counter

CHECK_SECONDS_MAX = 2.0

Check = Callable[[], Awaitable[str | None]]


class NotReady(Exception):
    """Raised by a check; the text is shown as its detail."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check, and how long it took."""

    ok: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class ReadinessReport:
    """The results of all checks."""

    checks: dict[str, CheckResult]

    @property
    def is_ready(self) -> bool:
        return bool(self.checks) and all(result.ok for result in self.checks.values())

    @property
    def http_status(self) -> int:
        return 200 if self.is_ready else 503

    def as_json(self) -> dict[str, object]:
        """Return the body of `/ready`."""
        checks = {name: asdict(result) for name, result in self.checks.items()}
        return {"status": "ready" if self.is_ready else "not_ready", "checks": checks}


class Readiness:
    """The checks of one service. A service without checks is not ready: it has not finished starting."""

    def __init__(self) -> None:
        self._checks: dict[str, tuple[Check, float]] = {}

    def add(self, name: str, check: Check, *, seconds_max: float = CHECK_SECONDS_MAX) -> None:
        """Add a check. `check` returns a detail to show, or raises: NotReady with a reason, or any other error."""
        self._checks[name] = (check, seconds_max)

    def remove(self, name: str) -> None:
        """Remove a check whose subject is gone."""
        self._checks.pop(name, None)

    def begin_stopping(self) -> None:
        """Make the service not ready from now on, whatever the checks say."""
        self.add("stopping", _stopping)

    async def report(self) -> ReadinessReport:
        """Run all checks concurrently."""
        checks = dict(self._checks)
        results = await asyncio.gather(*(_run(check, seconds) for check, seconds in checks.values()))
        return ReadinessReport(dict(zip(checks, results, strict=True)))


async def _run(check: Check, seconds_max: float) -> CheckResult:
    started = perf_counter()
    ok = False
    try:
        async with asyncio.timeout(seconds_max):
            detail = await check() or "ok"
        ok = True
    except TimeoutError:
        detail = f"no answer within {seconds_max:g} s"
    except NotReady as reason:
        detail = str(reason)
    except Exception as error:  # noqa: BLE001 - whatever error a check meets, the answer is "not ready"
        detail = f"{type(error).__name__}: {error}"
    return CheckResult(ok, detail, round(perf_counter() - started, 4))


async def _stopping() -> str | None:
    raise NotReady("the service is stopping")
