"""Checks everything that the gateway needs to work."""

from __future__ import annotations

from vbatch.chassis.blobs import Blobs
from vbatch.chassis.readiness import NotReady, Readiness
from vbatch.gateway.adapters.postgres import PostgresReads
from vbatch.journal.port import Journal

PROBE_BLOB = "probes/gateway"


def gateway_readiness(journal: Journal, reads: PostgresReads, blobs: Blobs) -> Readiness:
    async def nats() -> str:
        if not journal.is_connected:
            raise NotReady("not connected")
        return f"the log is at {await journal.log.last_sequence()}"

    async def postgres() -> str:
        return f"projected up to {await reads.checkpoint()}"

    async def blob_store() -> str:
        async with blobs.writer(PROBE_BLOB) as writer:
            await writer.write(b"ready")
        return "a file can be stored"

    readiness = Readiness()
    readiness.add("nats", nats)
    readiness.add("postgres", postgres)
    readiness.add("blobs", blob_store)
    return readiness
