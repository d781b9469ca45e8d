"""Reports when a service waits for room in the event log: in its own logs, in its metrics and on `/ready`."""

from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from vbatch.chassis.logs import get_logger
from vbatch.chassis.readiness import NotReady, Readiness


class WaitingWrites(Protocol):
    """What a journal says about its waiting writes. `refusal` is None while no write waits."""

    @property
    def refusal(self) -> str | None: ...

    def watch(self, watcher: Callable[[str | None], None]) -> None: ...


def report_waiting_writes(room: WaitingWrites, readiness: Readiness, registry: CollectorRegistry) -> None:
    """Add the check `log_room` and the metrics, and log each change."""
    waits = Gauge("vbatch_log_room_waiting", "1 while writes to the event log wait for room.", registry=registry)
    times = Counter("vbatch_log_room_refusals", "How often writes began to wait for room.", registry=registry)

    def tell(refusal: str | None) -> None:
        waits.set(refusal is not None)
        if refusal is None:
            get_logger().info("log_has_room")
        else:
            times.inc()
            get_logger().error("log_full", reason=refusal)

    async def check() -> str:
        if room.refusal is not None:
            raise NotReady(f"the event log is full, writing waits for room: {room.refusal}")
        return "writes are taken"

    room.watch(tell)
    readiness.add("log_room", check)
