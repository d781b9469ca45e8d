"""Whether the notifier can do its work now: the log, and whether it has read all of it."""

from __future__ import annotations

from vbatch.chassis.readiness import NotReady, Readiness
from vbatch.journal.port import Journal
from vbatch.notifier.flows.serving import Progress


def notifier_readiness(journal: Journal, progress: Progress) -> Readiness:
    async def nats() -> str:
        if not journal.is_connected:
            raise NotReady("not connected")
        return "connected"

    async def deliveries() -> str:
        delivering = progress.delivering
        if not progress.position.is_caught_up or delivering is None:
            raise NotReady("reading the log")
        endpoints, waiting = len(progress.state.endpoints), sum(1 for _ in progress.state.waiting())
        return f"{endpoints} endpoints, {waiting} deliveries wait, {delivering.in_flight_count} in flight"

    readiness = Readiness()
    readiness.add("nats", nats)
    readiness.add("deliveries", deliveries)
    return readiness
