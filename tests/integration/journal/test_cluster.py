"""A journal on three servers: the loss of the one that takes the writes costs seconds, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.journal import event, ids, lease, read
from tests.support.nats import small_journal
from tests.support.nats_cluster import nats_cluster
from vbatch.journal.jetstream import connect

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

MESSAGES, KILLED_AT = 120, 40


async def test_a_killed_leader_loses_nothing_and_repeats_nothing():
    async with nats_cluster() as cluster:
        settings = replace(small_journal(cluster.url, deadline_seconds=40.0), replicas=3)
        async with connect(settings) as journal:
            await journal.topology()
            mine = await journal.log.acquire(lease("l1"))
            half_way, stored = asyncio.Event(), list[int]()

            def note(sequence: int) -> None:
                stored.append(sequence)
                if len(stored) == KILLED_AT:
                    half_way.set()

            async def kill_the_leader() -> None:
                await half_way.wait()
                (await cluster.leader("EVT")).kill()

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(kill_the_leader())
                async with journal.publisher(mine) as publisher:
                    for n in range(MESSAGES):
                        await publisher.publish(event(f"e{n}"), note)
                    await publisher.flush()
            async with journal.log.tail(0, ("evt.batch.>",)) as tail:
                seen = await read(tail, MESSAGES)
    assert ids(seen) == [f"e{n}" for n in range(MESSAGES)]
    assert [record.sequence for record in seen] == stored
