"""`vbatch events` and `vbatch dead` against a real log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from typer.testing import CliRunner, Result

from tests.support import events as samples
from tests.support.nats import nats_server, small_journal
from vbatch.cli.exits import Exit
from vbatch.cli.main import app
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Message, Recorded
from vbatch.contracts.orders import CancelBatch, encode_order
from vbatch.journal.jetstream import connect
from vbatch.journal.port import Journal, Origin

pytestmark = pytest.mark.integration

LONG = msgspec.Raw(b'{"text":"' + b"x" * 2000 + b'"}')
STORY: tuple[e.Event, ...] = (
    samples.FILE_STORED,
    samples.BATCH_CREATED,
    msgspec.structs.replace(
        samples.CHUNK_COMPLETED, outcomes=(msgspec.structs.replace(samples.OUTCOMES[0], body=LONG),)
    ),
)


@dataclass
class Log:
    journal: Journal
    url: str

    async def run(self, *arguments: str) -> Result:
        """The command, in a thread of its own."""
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--nats-url", self.url])

    async def append(self, message: Message) -> Recorded:
        await self.journal.log.append(message)
        record = await self.journal.log.last(message.subject)
        assert record is not None
        return record

    async def bury(self, message: Message) -> int:
        return await self.journal.dead.append(await self.append(message), "no use")


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    async with nats_server() as server, connect(small_journal(server.url)) as journal:
        await journal.topology()
        for event in STORY:
            await journal.log.append(codec.encode(event, source="test"))
        yield Log(journal, server.url)


def unreadable(name: str = "bad") -> Message:
    return Message("evt.batch.b1.created", b"{", name, {"ce-type": "vbatch.batch.created.v1", "ce-id": name})


async def test_one_event_is_shown_with_its_headers_and_shortened_answers(log: Log):
    shown = await log.run("events", "show", "3")
    assert shown.exit_code == Exit.GOOD, shown.output
    assert "ce-type: vbatch.batch.chunk_completed.v2" in shown.stdout
    assert "x" * 200 not in shown.stdout
    assert "--full shows them" in shown.stdout


async def test_in_full_an_event_has_its_whole_answers(log: Log):
    assert "x" * 2000 in (await log.run("events", "show", "3", "--full")).stdout


async def test_an_event_that_is_not_there_is_said_with_what_is(log: Log):
    shown = await log.run("events", "show", "9")
    assert (shown.exit_code, "it holds 1 to 3" in shown.stderr) == (Exit.FAILED, True)


async def test_events_are_chosen_by_type_batch_sequence_and_time(log: Log):
    async def told(*arguments: str) -> list[int]:
        done = await log.run("events", "--json", *arguments)
        assert done.exit_code == Exit.GOOD, done.output
        return [json.loads(line)["sequence"] for line in done.stdout.splitlines()]

    await asyncio.sleep(0.01)
    later = datetime.now(UTC)
    await log.append(unreadable())
    assert await told() == [1, 2, 3, 4]
    assert await told("--type", "file.*") == [1]
    assert await told("--batch", samples.BATCH, "--after", "2") == [3]
    assert await told("--since", later.isoformat()) == [4]
    assert await told("--until", later.isoformat()) == [1, 2, 3]
    assert await told("--since", "1h", "--until", (later - timedelta(hours=1)).isoformat()) == []


async def test_a_moment_that_is_none_is_refused_with_examples(log: Log):
    done = await log.run("events", "--since", "yesterday")
    assert (done.exit_code, "15m" in done.stderr) == (Exit.USAGE, True)


async def test_dead_letters_are_listed_with_their_reasons(log: Log):
    await log.bury(unreadable())
    listed = await log.run("dead", "list")
    assert (listed.exit_code, "no use" in listed.stdout, "evt.batch.b1.created" in listed.stdout) == (0, True, True)


async def test_a_dead_letter_is_shown_as_it_came(log: Log):
    sequence = await log.bury(unreadable())
    shown = await log.run("dead", "show", str(sequence))
    assert "reason: no use" in shown.stdout
    assert "ce-type: vbatch.batch.created.v1" in shown.stdout
    assert shown.stdout.endswith("{\n")


async def test_what_still_cannot_be_read_is_not_sent_again(log: Log):
    sequence = await log.bury(unreadable())
    done = await log.run("dead", "retry", str(sequence))
    assert (done.exit_code, await log.journal.dead.count()) == (Exit.REFUSED, 1)


async def test_an_event_that_can_be_read_now_is_appended_under_another_id(log: Log):
    sequence = await log.bury(codec.encode(samples.FINALIZING, source="test"))
    head = await log.journal.log.last_sequence()
    assert (await log.run("dead", "retry", str(sequence))).exit_code == Exit.GOOD
    record = await log.journal.log.last("evt.batch.*.finalizing")
    assert record is not None and record.sequence == head + 1
    assert codec.decode(record) == samples.FINALIZING
    assert record.message_id == record.headers["ce-id"] == f"{samples.BATCH}:batch.finalizing:retry:{sequence}"
    assert await log.journal.dead.count() == 0


async def test_an_order_is_put_again_for_the_same_runner(log: Log):
    order = CancelBatch(epoch=7, batch_id=samples.BATCH)
    message = encode_order(order, subject="work.gpu0.7")
    record = Recorded(1, message.subject, dict(message.headers), message.body, samples.NOON)
    sequence = await log.journal.dead.append(record, "delivered too often", Origin.WORK)
    assert (await log.run("dead", "retry", str(sequence))).exit_code == Exit.GOOD
    async with log.journal.work.take("work.gpu0.7", "test") as deliveries, asyncio.timeout(10):
        assert (await anext(deliveries)).message.body == message.body


async def test_a_lease_is_never_said_again(log: Log):
    lease = codec.encode(e.ResultsLeased(results_id="main", pid=1, at=samples.NOON), source="test")
    sequence = await log.bury(lease)
    done = await log.run("dead", "retry", str(sequence))
    assert (done.exit_code, "fence" in done.stderr) == (Exit.REFUSED, True)


async def test_a_dropped_letter_is_gone(log: Log):
    sequence = await log.bury(unreadable())
    assert (await log.run("dead", "drop", str(sequence))).exit_code == Exit.GOOD
    assert (await log.run("dead", "drop", str(sequence))).exit_code == Exit.FAILED
    assert await log.journal.dead.count() == 0


async def test_the_audit_shows_who_did_what_and_nothing_that_a_service_did(log: Log):
    batch = msgspec.structs.replace(samples.BATCH_CREATED, batch_id=BatchId("batch_" + "9" * 32))
    message = codec.encode(batch, source="gateway")
    headers = {**message.headers, "ce-actor": samples.KEY, "ce-clientaddress": "10.0.0.7"}
    await log.journal.log.append(Message(message.subject, message.body, message.message_id, headers))

    shown = await log.run("audit", "--json")
    assert shown.exit_code == Exit.GOOD, shown.output
    [entry] = [json.loads(line) for line in shown.stdout.splitlines()]
    assert (entry["actor"], entry["address"], entry["action"]) == (samples.KEY, "10.0.0.7", "batch.created")
    assert "10.0.0.7" in (await log.run("audit", "--since", "1h", "--actor", samples.KEY)).stdout
    assert "Nobody has changed anything." in (await log.run("audit", "--object", "batch_x")).stdout
