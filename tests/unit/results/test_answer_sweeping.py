"""A large answer stays as long as an event refers to it, or may come to; one that none can refer to any more goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.support.events import CHUNK_COMPLETED, NOON, RUNNER, SLICE
from vbatch.chassis.blobs import Blobs, open_blobs
from vbatch.contracts import codec, events as e
from vbatch.contracts.answers import answer_blob, epoch_of, swept_mark
from vbatch.contracts.events import NO_ANSWER
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.message import Message
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.results.flows.answer_sweeping import AnswerSweep

GRACE_SECONDS = 600.0
OTHER_RUNNER = RunnerId("gpu1")
STORED_LINE, STRAY_LINE = 1, 2


@dataclass
class Stage:
    """A log, a blob store, and the time it is."""

    journal: MemoryJournal
    blobs: Blobs
    now: datetime = NOON

    def sweep(self) -> AnswerSweep:
        return AnswerSweep(self.journal.log, self.blobs, grace_seconds=GRACE_SECONDS, now=lambda: self.now)

    async def begin_life(self, runner_id: RunnerId = RUNNER) -> int:
        leased = e.RunnerLeased(runner_id=runner_id, device="cpu", memory_bytes=1, pid=self.now.second, at=self.now)
        self.now += timedelta(seconds=1)
        return (await self.journal.log.acquire(codec.encode(leased, source="test"))).epoch

    async def shelve(self, epoch: int, line: int) -> str:
        async with self.blobs.writer(answer_blob(epoch, SLICE, line)) as writer:
            await writer.write(b'"long"')
        return answer_blob(epoch, SLICE, line)

    async def refer(self, epoch: int, blob: str) -> None:
        outcome = e.Outcome(line=STORED_LINE, custom_id="a", status_code=200, body=NO_ANSWER, body_blob=blob)
        chunk = msgspec.structs.replace(CHUNK_COMPLETED, epoch=epoch, outcomes=(outcome,))
        await self.journal.log.append(codec.encode(chunk, source="test"))

    async def one_of_each(self, epoch: int) -> tuple[str, str]:
        """An answer that a chunk refers to, and one whose runner was killed before its chunk."""
        stored, stray = await self.shelve(epoch, STORED_LINE), await self.shelve(epoch, STRAY_LINE)
        await self.refer(epoch, stored)
        return stored, stray

    async def left(self) -> set[str]:
        return set(await self.blobs.older_than(-1, "answers", is_deep=True))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(
        MemoryJournal(JournalSettings("nats://none", "test"), lambda: made.now), open_blobs(f"file://{tmp_path}")
    )
    return made


async def test_what_a_killed_runner_left_goes_and_what_an_event_refers_to_stays(stage: Stage):
    stored, stray = await stage.one_of_each(await stage.begin_life())
    await stage.begin_life()
    assert await stage.sweep().sweep() == 1
    assert await stage.left() == {stored}
    assert stray != stored


async def test_of_a_life_that_goes_on_everything_stays(stage: Stage):
    await stage.begin_life(OTHER_RUNNER)
    living = await stage.begin_life()
    kept = set(await stage.one_of_each(living))
    await stage.begin_life(OTHER_RUNNER)
    assert await stage.sweep().sweep() == 0
    assert await stage.left() == kept


async def test_a_life_that_was_declared_lost_is_over(stage: Stage):
    epoch = await stage.begin_life()
    stored, _ = await stage.one_of_each(epoch)
    lost = e.RunnerLost(runner_id=RUNNER, epoch=epoch, silent_seconds=60.0, at=stage.now)
    await stage.journal.log.append(codec.encode(lost, source="test"))
    assert await stage.sweep().sweep() == 1
    assert await stage.left() == {stored}


async def test_answers_of_another_log_stay(stage: Stage):
    await stage.begin_life()
    not_a_lease = await stage.journal.log.append(codec.encode(CHUNK_COMPLETED, source="test"))
    kept = {await stage.shelve(not_a_lease, 1), await stage.shelve(999, 1)}
    await stage.begin_life()
    await stage.begin_life()
    assert await stage.sweep().sweep() == 0
    assert await stage.left() == kept


async def test_beside_a_chunk_that_cannot_be_read_everything_stays(stage: Stage):
    kept = set(await stage.one_of_each(await stage.begin_life()))
    unreadable = Message("evt.batch.b1.chunk_completed", b"{", "bad", {"ce-type": "vbatch.batch.chunk_completed.v1"})
    await stage.journal.log.append(unreadable)
    await stage.begin_life()
    assert await stage.sweep().sweep() == 0
    assert await stage.left() == kept


async def test_a_life_is_marked_when_its_time_of_grace_is_over_and_then_left_alone(stage: Stage):
    epoch = await stage.begin_life()
    stored, _ = await stage.one_of_each(epoch)
    await stage.begin_life()
    sweep = stage.sweep()
    await sweep.sweep()
    woken = await stage.shelve(epoch, 3)  # by the process of that life, frozen until now
    assert await sweep.sweep() == 1
    stage.now += timedelta(seconds=GRACE_SECONDS)
    await sweep.sweep()
    assert await stage.left() == {stored, swept_mark(epoch)}
    await stage.shelve(epoch, 3)
    assert await stage.sweep().sweep() == 0
    assert woken in await stage.left()


def test_the_name_of_an_answer_tells_the_life_that_wrote_it():
    assert epoch_of(answer_blob(17, SLICE, 3)) == 17
    assert epoch_of(swept_mark(17)) == 17
    assert [epoch_of(name) for name in ("answers/17", "answers/x/s/1", "files/17/a", "answers")] == [None] * 4
