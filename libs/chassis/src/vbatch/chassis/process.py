"""The life of a service process: event loop, logs, traces, signals, a stop with a time limit, a correct exit code."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import uvloop

from vbatch.chassis import logs, telemetry
from vbatch.chassis.files import keep_private
from vbatch.chassis.parent import die_with_parent
from vbatch.chassis.settings import ServiceSettings, load_or_exit

if TYPE_CHECKING:
    from vbatch.chassis.otlp_logs import OtlpLogs

STOP_SECONDS_MAX = 10.0
PARENT_DEATH_VARIABLE = "VBATCH_PARENT_DEATH"
UNCOLLECTED_OBJECTS_MAX = 20_000
"""How many objects may be made before the garbage collector looks for cycles. Python's default of 700 is less than what
the requests that are in progress hold, so it would scan them again and again and find nothing."""


class Stop:
    """The request that the service end. `main` waits for it, or checks it between two pieces of work."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason: str | None = None

    def request(self, reason: str) -> None:
        """Ask the service to end. The first reason is kept."""
        self.reason = self.reason or reason
        self._event.set()

    def is_requested(self) -> bool:
        return self._event.is_set()

    async def wait(self) -> None:
        """Return once the end was requested."""
        await self._event.wait()


async def until_stopped(stop: Stop, work: Coroutine[None, None, None]) -> None:
    """Run the work until it ends or the stop is requested, which cancels it. Raises what the work raises."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def run_service(
    main: Callable[[Stop], Awaitable[None]],
    name: str,
    *,
    settings: ServiceSettings | None = None,
    stop_seconds_max: float = STOP_SECONDS_MAX,
) -> NoReturn:
    """Run `main` until it returns or SIGTERM or SIGINT asks it to, then exit: 0 after success, 1 after failure.

    `main` must return within `stop_seconds_max` of the request to stop; after that the process ends at once.
    """
    keep_private()
    settings = settings or load_or_exit(ServiceSettings)
    log_server = _log_server(name, settings.otlp_logs_endpoint)
    logs.configure(name, settings.log_level, also_to=log_server)
    if os.environ.get(PARENT_DEATH_VARIABLE) == "1":
        die_with_parent()
    provider = telemetry.configure(name, settings.otlp_endpoint)
    _spare_the_collector()
    code = uvloop.run(_live(main, stop_seconds_max))
    provider.shutdown()
    if log_server is not None:
        log_server.close()
    sys.exit(code)


def _log_server(name: str, endpoint: str | None) -> "OtlpLogs | None":
    if endpoint is None:
        return None
    from vbatch.chassis.otlp_logs import OtlpLogs  # startup is faster without this import

    return OtlpLogs(name, endpoint)


def _spare_the_collector() -> None:
    """Exempt the imported modules from garbage collection: they stay until the end, and scanning them stalls the
    process. Look for cycles less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(UNCOLLECTED_OBJECTS_MAX)


async def _live(main: Callable[[Stop], Awaitable[None]], stop_seconds_max: float) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.request, number.name)
    log = logs.get_logger()
    log.info("service_started", pid=os.getpid())
    service = asyncio.ensure_future(main(stop))
    limit = asyncio.ensure_future(_end_if_late(stop, stop_seconds_max))
    try:
        await service
    except Exception:
        log.exception("service_failed")
        return 1
    finally:
        limit.cancel()
    log.info("service_stopped", reason=stop.reason or "finished")
    return 0


async def _end_if_late(stop: Stop, seconds_max: float) -> None:
    await stop.wait()
    await asyncio.sleep(seconds_max)
    logs.get_logger().error("service_stop_took_too_long", reason=stop.reason, seconds_max=seconds_max)
    # Neither a task that swallows its cancellation nor a thread that never returns may keep the process alive.
    sys.stderr.flush()
    os._exit(1)
