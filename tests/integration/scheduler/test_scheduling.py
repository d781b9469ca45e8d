"""The scheduler's loop on a journal in memory, with a worker process that reads files and a runner that answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.events import NOON
from tests.support.prefix_cache import question_major
from vbatch.chassis.blobs import open_blobs
from vbatch.chassis.process import Stop
from vbatch.contracts import events as e
from vbatch.contracts.codec import decode, encode
from vbatch.contracts.failures import FileFault, ReturnReason
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.contracts.orders import CancelBatch, PauseBatch, RequestRef, RunSlice, decode_order
from vbatch.contracts.subjects import work
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Delivery, Fenced
from vbatch.journal.settings import JournalSettings
from vbatch.scheduler.adapters.planner import process_planner
from vbatch.scheduler.core.policy.policy import stay_then_oldest
from vbatch.scheduler.flows.planning import Limits
from vbatch.scheduler.flows.scheduling import Scheduler

CHAT = "/v1/chat/completions"
OWNER = OwnerId("local")
RUNNER = RunnerId("gpu0")
BATCH = BatchId("batch_a")
WAIT_SECONDS = 20.0

pytestmark = pytest.mark.integration


def utc_now() -> datetime:
    return datetime.now(UTC)


class Stage:
    """A journal, a blob store, and those who speak to the scheduler through them."""

    def __init__(self, folder: Path) -> None:
        self.journal = MemoryJournal(JournalSettings(url="memory://", name="test"), utc_now)
        self.blob_url = f"file://{folder}"
        self.blobs = open_blobs(self.blob_url)

    async def tell(self, *events: e.AnyEvent) -> int:
        for event in events:
            sequence = await self.journal.log.append(encode(event, source="test"))
        return sequence

    async def batch(self, content: bytes) -> None:
        async with self.blobs.writer("in") as writer:
            await writer.write(content)
        model = ModelDefinition(id=ModelId("small"), engine=EngineKind.SIMULATED)
        file = e.FileStored(
            file_id=FileId("file-a"),
            owner=OWNER,
            purpose="batch",
            filename="in",
            bytes=1,
            sha256="",
            blob="in",
            at=NOON,
        )
        now = utc_now()
        created = e.BatchCreated(
            batch_id=BATCH,
            owner=OWNER,
            input_file_id=FileId("file-a"),
            endpoint=CHAT,
            completion_window="24h",
            at=now,
            expires_at=now + timedelta(days=1),
        )
        await self.tell(e.ModelRegistered(model=model, at=NOON), file, created)

    async def runner(self) -> int:
        leased = e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=utc_now())
        self.epoch = await self.tell(leased)
        return self.epoch

    def orders(self, consumer: str = "r") -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        return self.journal.work.take(work(RUNNER, self.epoch), consumer)

    async def seen(self, kind: type[e.AnyEvent], after: int = 0) -> e.AnyEvent:
        """The first event of a kind, now or as soon as it comes."""
        async with asyncio.timeout(WAIT_SECONDS), self.journal.log.tail(after) as lists:
            async for records in lists:
                for record in records:
                    if isinstance(event := decode(record), kind):
                        return event
        raise AssertionError(kind.__name__)

    @asynccontextmanager
    async def scheduler(self) -> AsyncIterator[Scheduler]:
        async with process_planner(self.blob_url) as planner:
            limits = Limits(lines_max=1_000)
            scheduler = Scheduler(self.journal, planner, stay_then_oldest, utc_now, 1, limits)
            stop = Stop()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(scheduler.run(stop))
                yield scheduler
                stop.request("test is over")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def requests(count: int, prompts: Sequence[str] = ()) -> bytes:
    lines = (_request(n, prompts[n - 1] if prompts else "hi") for n in range(1, count + 1))
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _request(number: int, prompt: str) -> dict[str, object]:
    body = {"model": "small", "messages": [{"role": "user", "content": prompt}]}
    return {"custom_id": f"c{number}", "method": "POST", "url": CHAT, "body": body}


def answer(order: RunSlice, chunk: int = 1) -> e.ChunkCompleted:
    outcomes = tuple(e.Outcome(line=ref.line, custom_id="c", status_code=200) for ref in order.requests)
    return e.ChunkCompleted(
        batch_id=order.batch_id,
        slice_id=order.slice_id,
        runner_id=RUNNER,
        epoch=order.epoch,
        chunk=chunk,
        model=order.model,
        outcomes=outcomes,
        at=utc_now(),
    )


async def test_a_batch_is_validated_dispatched_counted_and_ended(stage: Stage):
    await stage.batch(requests(600))
    await stage.runner()
    async with stage.scheduler(), stage.orders() as orders:
        answered = 0
        while answered < 600:
            delivery = await anext(orders)
            order = decode_order(delivery.message.body)
            assert isinstance(order, RunSlice)
            await stage.tell(answer(order))
            await delivery.ack()
            answered += len(order.requests)
        ended = await stage.seen(e.BatchFinalizing)
    assert isinstance(ended, e.BatchFinalizing)
    assert (ended.ending, ended.never_ran_count, answered) == (e.Ending.COMPLETED, 0, 600)


async def test_orders_follow_the_plan_and_point_at_their_lines(stage: Stage):
    prompts = question_major(documents=100, questions=3)
    content = requests(300, prompts)
    await stage.batch(content)
    await stage.runner()
    sent: list[RequestRef] = []
    async with stage.scheduler(), stage.orders() as orders:
        while len(sent) < 300:
            delivery = await anext(orders)
            order = decode_order(delivery.message.body)
            assert isinstance(order, RunSlice)
            sent += order.requests
            await delivery.ack()
    assert [ref.line for ref in sent] == [1 + document + 100 * turn for document in range(100) for turn in range(3)]
    for ref in sent:
        found = json.loads(content[ref.offset : ref.offset + ref.length])
        assert found["body"]["messages"][0]["content"] == prompts[ref.line - 1]


async def test_a_bad_file_is_rejected_with_its_faults(stage: Stage):
    await stage.batch(b"{\n" + requests(1))
    async with stage.scheduler():
        event = await stage.seen(e.BatchRejected)
    assert isinstance(event, e.BatchRejected)
    assert [(fault.code, fault.line) for fault in event.faults] == [(FileFault.INVALID_JSON_LINE, 1)]


async def test_an_input_whose_bytes_are_gone_is_rejected(stage: Stage):
    await stage.batch(requests(1))
    await stage.blobs.delete("in")
    async with stage.scheduler():
        event = await stage.seen(e.BatchRejected)
    assert isinstance(event, e.BatchRejected) and event.faults[0].param == "file_id"


async def test_a_new_scheduler_makes_outstanding_orders_again_and_the_queue_drops_the_repeat(stage: Stage):
    await stage.batch(requests(3))
    await stage.runner()
    async with stage.scheduler():
        await stage.seen(e.BatchDispatched)
        async with stage.orders() as orders:
            order = decode_order((await anext(orders)).message.body)
    async with stage.scheduler() as scheduler, stage.orders("other") as orders:
        assert isinstance(order, RunSlice)
        assert decode_order((await anext(orders)).message.body) == order
        await stage.tell(answer(order))
        await stage.seen(e.BatchFinalizing)
        assert scheduler.state.batches == {}


async def test_an_order_lost_before_it_was_put_is_made_by_the_next_scheduler(stage: Stage):
    await stage.batch(requests(3))
    epoch = await stage.runner()
    total = e.ModelTotal(model=ModelId("small"), requests=3, input_bytes=1)
    validated = e.BatchValidated(batch_id=BATCH, total=3, last_line=3, models=(total,), at=NOON)
    sent = e.BatchDispatched(
        batch_id=BATCH,
        slice_id="s-1-1",  # type: ignore[arg-type]  # a SliceId is a str
        runner_id=RUNNER,
        epoch=epoch,
        model=ModelId("small"),
        lines=(1, 2, 3),
        attempt=1,
        reason="",
        at=NOON,
    )
    await stage.tell(validated, sent)
    async with stage.scheduler(), stage.orders() as orders:
        async with asyncio.timeout(WAIT_SECONDS):
            order = decode_order((await anext(orders)).message.body)
    assert isinstance(order, RunSlice)
    assert (order.slice_id, [ref.line for ref in order.requests]) == ("s-1-1", [1, 2, 3])


async def test_a_cancel_recalls_what_is_running(stage: Stage):
    await stage.batch(requests(3))
    await stage.runner()
    async with stage.scheduler(), stage.orders() as orders:
        order = decode_order((await anext(orders)).message.body)
        assert isinstance(order, RunSlice)
        await stage.tell(e.BatchCancelRequested(batch_id=BATCH, at=utc_now()))
        recall = decode_order((await anext(orders)).message.body)
        assert recall == CancelBatch(epoch=order.epoch, batch_id=BATCH)
        lines = tuple(ref.line for ref in order.requests)
        returned = e.SliceReturned(
            batch_id=BATCH,
            slice_id=order.slice_id,
            runner_id=RUNNER,
            epoch=order.epoch,
            lines=lines,
            reason=ReturnReason.CANCELLED,
            at=utc_now(),
        )
        await stage.tell(returned)
        ended = await stage.seen(e.BatchFinalizing)
    assert isinstance(ended, e.BatchFinalizing) and ended.ending is e.Ending.CANCELLED


async def test_a_pause_holds_what_is_running_and_each_pause_anew(stage: Stage):
    await stage.batch(requests(3))
    await stage.runner()
    async with stage.scheduler(), stage.orders() as orders:
        sent = decode_order((await anext(orders)).message.body)
        for _ in range(2):
            pause = await stage.tell(e.BatchPaused(batch_id=BATCH, at=utc_now()))
            delivery = await anext(orders)
            assert decode_order(delivery.message.body) == PauseBatch(epoch=sent.epoch, batch_id=BATCH, pause=pause)
            await delivery.ack()
            await stage.tell(e.BatchResumed(batch_id=BATCH, at=utc_now()))


async def test_an_older_scheduler_is_fenced_by_a_newer_one(stage: Stage):
    with pytest.raises(ExceptionGroup) as caught:
        async with stage.scheduler() as older:
            await stage.seen(e.SchedulerLeased)
            assert older.state.runners == {}
            await stage.tell(e.SchedulerLeased(scheduler_id="main", pid=2, at=utc_now()))
            await stage.batch(requests(1))
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.Event().wait()
    assert caught.group_contains(Fenced)


async def test_an_older_scheduler_ends_even_when_it_has_nothing_to_write(stage: Stage):
    with pytest.raises(ExceptionGroup) as caught:
        async with stage.scheduler():
            await stage.seen(e.SchedulerLeased)
            await stage.tell(e.SchedulerLeased(scheduler_id="main", pid=2, at=utc_now()))
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.Event().wait()
    assert caught.group_contains(Fenced)


async def test_an_unreadable_event_is_buried_and_the_rest_goes_on(stage: Stage):
    good = encode(e.FileDeleted(file_id=FileId("file-x"), owner=OWNER, at=NOON), source="test")
    bad = type(good)(good.subject, b"noise", "noise", good.headers)
    await stage.journal.log.append(bad)
    await stage.batch(b"")
    async with stage.scheduler():
        await stage.seen(e.BatchRejected, after=1)
    assert [letter.original.body for letter in await stage.journal.dead.list()] == [b"noise"]
