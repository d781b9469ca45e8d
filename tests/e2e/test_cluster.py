"""The whole stack on a log of three servers: the one that takes the writes is killed in the middle of a batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.asking import assert_each_line_once_in_order, chat_line, ended, jsonl, submit, wait_for_progress
from tests.support.nats_cluster import NatsCluster, nats_cluster
from tests.support.stack import SLOW_CHAT, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

REQUESTS, DISTURBED_AT, END_SECONDS_MAX = 600, 100, 120.0
LOG_BYTES = 256 << 20


@contextmanager
def cluster() -> Iterator[tuple[asyncio.Runner, NatsCluster]]:
    with asyncio.Runner() as runner:
        manager = nats_cluster()
        opened = runner.run(manager.__aenter__())
        try:
            yield runner, opened
        finally:
            runner.run(manager.__aexit__(None, None, None))


def test_a_batch_survives_the_kill_of_the_leader_of_its_log():
    with cluster() as (runner, servers):
        environment = {
            "VBATCH_NATS_URL": servers.url,
            "VBATCH_NATS_REPLICAS": "3",
            "VBATCH_LOG_BYTES_MAX": str(LOG_BYTES),
        }
        with running_stack(environment=environment) as stack, stack.client() as client:
            given = [chat_line(number, SLOW_CHAT) for number in range(REQUESTS)]
            batch = submit(client, jsonl(given))
            wait_for_progress(client, batch.id, DISTURBED_AT)
            runner.run(servers.leader("EVT")).kill()
            found = ended(client, batch.id, END_SECONDS_MAX)
            assert found.batch.status == "completed", stack.logs()
            assert found.errors == []
            assert_each_line_once_in_order(given, found)
