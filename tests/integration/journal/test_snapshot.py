"""A log comes back from its snapshot with every event at its sequence, gaps included."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.journal import event, lease, read
from tests.support.nats import nats_server, small_journal
from vbatch.journal.jetstream import connect
from vbatch.journal.jetstream.journal import JetStreamJournal
from vbatch.journal.jetstream.snapshot import SnapshotHead, last_sequence_of
from vbatch.journal.port import Guard, Rejected

pytestmark = pytest.mark.integration

CHUNKS = "evt.batch.b1.chunk_completed"


async def taken(journal: JetStreamJournal) -> tuple[SnapshotHead, list[bytes]]:
    snapshot = journal.snapshot("EVT")
    pieces = [piece async for piece in snapshot.pieces()]
    assert snapshot.head is not None
    return snapshot.head, pieces


async def fed(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_restored_log_is_the_same_log():
    async with nats_server() as old, connect(small_journal(old.url)) as journal:
        await journal.topology()
        mine = await journal.log.acquire(lease("l1"))
        for number in range(20):
            await journal.log.append(event(f"c{number}", b"x" * 100_000, subject=CHUNKS))
        await journal.log.append(event("e1"))
        await journal.log.purge(CHUNKS, 15)
        head, pieces = await taken(journal)
        async with journal.log.tail(0) as tail:
            before = await read(tail, 7 + 1)
    assert last_sequence_of(head) == 22
    async with nats_server() as new, connect(small_journal(new.url)) as journal:
        await journal.restore("EVT", head, fed(pieces))
        await journal.topology()
        async with journal.log.tail(0) as tail:
            assert await read(tail, len(before)) == before
        assert await journal.log.append(event("e2"), Guard(mine.subject, mine.epoch)) == 23


async def test_a_log_that_exists_is_not_overwritten():
    async with nats_server() as server, connect(small_journal(server.url)) as journal:
        await journal.topology()
        await journal.log.append(event("e1"))
        head, pieces = await taken(journal)
        with pytest.raises(Rejected):
            await journal.restore("EVT", head, fed(pieces))
        assert await journal.log.last_sequence() == 1
