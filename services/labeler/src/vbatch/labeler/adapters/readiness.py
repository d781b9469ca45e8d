"""Whether the labeler can do its work now: the log, and whether it has read all of it. Label Studio may be
unreachable."""

from __future__ import annotations

from vbatch.chassis.readiness import NotReady, Readiness
from vbatch.journal.port import Journal
from vbatch.labeler.flows.serving import Progress


def labeler_readiness(journal: Journal, progress: Progress) -> Readiness:
    async def nats() -> str:
        if not journal.is_connected:
            raise NotReady("not connected")
        return "connected"

    async def labelings() -> str:
        if not progress.position.is_caught_up:
            raise NotReady("reading the log")
        count, waiting = len(progress.state.labelings), len(progress.state.to_push())
        away = f"; {progress.trouble}" if progress.trouble else ""
        return f"{count} labelings, {waiting} to push{away}"

    readiness = Readiness()
    readiness.add("nats", nats)
    readiness.add("labelings", labelings)
    return readiness
