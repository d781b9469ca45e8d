"""A write that the log refuses, an event that cannot be folded, a file that kills its reader: each ends its batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.scheduler.test_scheduling import BATCH, WAIT_SECONDS, Stage, requests, utc_now
from tests.simulation.patching import replaced
from vbatch.chassis.process import Stop
from vbatch.contracts import events as e
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.port import Origin
from vbatch.journal.quarantine import ENDS_MAX, ForgottenNotes, QuarantineMeans
from vbatch.journal.settings import JournalSettings
from vbatch.scheduler.core.decide import PlanResult
from vbatch.scheduler.core.planning.validation import FileRules
from vbatch.scheduler.core.policy.policy import stay_then_oldest
from vbatch.scheduler.core.state import state as folding
from vbatch.scheduler.flows import planning, scheduling
from vbatch.scheduler.flows.planning import Limits
from vbatch.scheduler.flows.scheduling import Scheduler
from vbatch.scheduler.ports import CheckerDied, Planner

pytestmark = pytest.mark.integration
UNFIT = b'{"custom_id":"a","method":"GET","url":"/","body":{}}\n'


class Poison(Exception):
    """What no one foresaw."""


class KilledReaders:
    """Each process that reads a file is killed by it."""

    async def plan(self, blob: str, file_bytes: int, rules: FileRules) -> PlanResult:
        raise CheckerDied(f"the worker died while it read {blob}")

    def keep_only(self, blobs: Set[str]) -> None:
        """They keep nothing."""


@asynccontextmanager
async def living(stage: Stage, planner: Planner, notes: ForgottenNotes) -> AsyncIterator[None]:
    """One process of the scheduler's, on what the one before it noted."""
    means, stop = QuarantineMeans(notes), Stop()
    scheduler = Scheduler(stage.journal, planner, stay_then_oldest, utc_now, 1, Limits(), means=means)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(scheduler.run(stop))
        yield
        stop.request("test is over")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_faults_that_the_log_refuses_end_their_batch_and_not_the_scheduler(tmp_path: Path):
    stage = Stage(tmp_path)
    stage.journal = MemoryJournal(JournalSettings("memory://", "test", message_bytes_max=8_000), utc_now)
    async with stage.scheduler():
        await stage.batch(UNFIT * 200)
        rejected = await stage.seen(e.BatchRejected)
    assert isinstance(rejected, e.BatchRejected)
    [fault] = rejected.faults
    assert "could not go on with this batch" in fault.message and "limit" in fault.message
    [letter] = await stage.journal.dead.list()
    assert (letter.origin, letter.original.subject) == (Origin.WRITE, f"evt.batch.{BATCH}.rejected")


async def test_an_event_that_ends_the_scheduler_three_times_is_set_aside_and_its_batch_told(
    stage: Stage,
):
    notes, planner = ForgottenNotes(), KilledReaders()
    await stage.runner()
    await stage.batch(requests(3))
    poison = await stage.tell(e.BatchPaused(batch_id=BATCH, at=utc_now()))

    def fold(state: folding.State, event: e.AnyEvent, sequence: int) -> None:
        if sequence == poison:
            raise Poison("no rule for this")
        evolve(state, event, sequence)

    evolve = folding.evolve
    with replaced(scheduling, "evolve", fold):
        for _ in range(ENDS_MAX):
            with pytest.raises(ExceptionGroup) as ended:
                async with asyncio.timeout(WAIT_SECONDS), living(stage, planner, notes):
                    await asyncio.sleep(WAIT_SECONDS)
            assert ended.value.subgroup(Poison)
        async with living(stage, planner, notes):
            event = await stage.seen(e.BatchRejected)
    assert isinstance(event, e.BatchRejected) and "no rule for this" in event.faults[0].message
    [letter] = await stage.journal.dead.list()
    assert letter.original.sequence == poison and letter.reason.startswith("poison: ")


async def test_a_file_that_kills_each_process_that_reads_it_ends_its_batch(stage: Stage):
    with replaced(planning, "RETRY_SECONDS", 0.01), replaced(planning, "RETRY_SECONDS_MAX", 0.01):
        async with living(stage, KilledReaders(), ForgottenNotes()):
            await stage.batch(requests(1))
            event = await stage.seen(e.BatchRejected)
    assert isinstance(event, e.BatchRejected) and "died" in event.faults[0].message
