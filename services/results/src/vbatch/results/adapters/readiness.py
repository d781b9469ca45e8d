"""Whether results can work now: the log, the database, the lag of the projection, the blob store, the seals."""

from __future__ import annotations

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.readiness import NotReady, Readiness
from vbatch.journal.port import Journal
from vbatch.results.flows.serving import Progress
from vbatch.results.ports import ReadModel

PROBED_BLOB = "outputs/probe"
DETAIL_CHARS_MAX = 1000


def results_readiness(
    journal: Journal,
    read_model: ReadModel,
    blobs: Blobs,
    progress: Progress,
    *,
    lag_max: int,
) -> Readiness:
    readiness = Readiness()
    lag = _Lag(journal, progress, lag_max)

    async def nats() -> str:
        if not journal.is_connected:
            raise NotReady("not connected")
        return "connected"

    async def postgres() -> str:
        return f"checkpoint {await read_model.checkpoint()}"

    async def blob_store() -> str:
        await blobs.exists(PROBED_BLOB)  # the store has answered, whether the blob exists or not
        return "answers"

    readiness.add("nats", nats)
    readiness.add("postgres", postgres)
    readiness.add("projection", lag.check)
    readiness.add("blob_store", blob_store)
    readiness.add("seals", _Seals(progress).check)
    return readiness


class _Seals:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    async def check(self) -> str:
        sealer = self._progress.sealer
        if sealer is not None and sealer.trouble:
            raise NotReady("; ".join(sealer.trouble.values())[:DETAIL_CHARS_MAX])
        refused = sealer.refused if sealer is not None else {}
        return f"none held up, refused: {', '.join(refused) or 'none'}"[:DETAIL_CHARS_MAX]


class _Lag:
    """A projection that is far behind is still ready while it moves between two checks."""

    def __init__(self, journal: Journal, progress: Progress, lag_max: int) -> None:
        self._journal = journal
        self._progress = progress
        self._lag_max = lag_max
        self._seen = -1

    async def check(self) -> str:
        projector = self._progress.projector
        if projector is None or projector.trouble:
            raise NotReady(projector.trouble if projector and projector.trouble else "waiting for the lease")
        sequence = self._progress.position.sequence
        lag = max(0, await self._journal.log.last_sequence() - sequence)
        moved, self._seen = sequence != self._seen, sequence
        if lag > self._lag_max and not moved:
            raise NotReady(f"stands at {sequence}, {lag} events behind")
        return f"at {sequence}, {lag} events behind"
