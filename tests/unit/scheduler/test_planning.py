"""A worker that dies while it reads a file costs a moment; a store that stays away is asked ever less often."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import dataclass, field
from random import Random

import pytest

from tests.simulation.loop import SimulatedLoop
from tests.support.events import NOON
from tests.support.scheduling import World, plan_of
from vbatch.contracts.events import BatchFault, BatchFinalizing
from vbatch.contracts.failures import FileFault
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.quarantine import Quarantine, QuarantineMeans
from vbatch.journal.settings import JournalSettings
from vbatch.scheduler.core.decide import PlanResult
from vbatch.scheduler.core.planning.validation import FileRules
from vbatch.scheduler.flows.planning import RETRY_SECONDS, RETRY_SECONDS_MAX, Limits, Planning
from vbatch.scheduler.ports import PlanningTrouble


@dataclass
class FailingPlanner:
    """Succeeds after so many failures; `asked_at` are seconds of the loop."""

    failures: int
    asked_at: list[float] = field(default_factory=list)
    kept: list[Set[str]] = field(default_factory=list)

    async def plan(self, blob: str, file_bytes: int, rules: FileRules) -> PlanResult:
        self.asked_at.append(asyncio.get_running_loop().time())
        if len(self.asked_at) <= self.failures:
            raise PlanningTrouble("the worker died")
        return plan_of(1)

    def keep_only(self, blobs: Set[str]) -> None:
        self.kept.append(blobs)


def test_after_a_killed_worker_the_file_is_read_again_at_once():
    assert pauses(failures=1) == [pytest.approx(RETRY_SECONDS)]


def test_while_the_store_is_away_pauses_grow_up_to_their_limit():
    found = pauses(failures=10)
    assert found == sorted(found)
    assert found[-1] == pytest.approx(RETRY_SECONDS_MAX)


def pauses(failures: int) -> list[float]:
    planner = FailingPlanner(failures)
    loop = SimulatedLoop(Random(1))
    try:
        loop.run_until_complete(_planned(planner))
    finally:
        loop.end()
    return [later - earlier for earlier, later in zip(planner.asked_at, planner.asked_at[1:], strict=False)]


def test_a_batch_whose_file_was_fit_and_no_longer_is_ends():
    """After a stricter update, or when its bytes are lost: without a plan it would wait until its window ends."""
    world = World()
    world.model("small")
    batch = world.running("a", 3)
    fault = BatchFault(code=FileFault.INVALID_REQUEST, message="Invalid 'custom_id': string too long.")
    planning = Planning(
        world.state, FailingPlanner(0), lambda: world.now, Limits(), lambda: None, quarantine(), {batch: (fault,)}
    )
    planning._attach()
    [event] = world.decide()
    assert isinstance(event, BatchFinalizing) and event.never_ran_count == 3


def quarantine() -> Quarantine:
    journal = MemoryJournal(JournalSettings("nats://x", "x"), lambda: NOON)
    return Quarantine(journal.dead, QuarantineMeans())


async def _planned(planner: FailingPlanner) -> None:
    world = World()
    world.model("small")
    batch = world.created("a")
    planning = Planning(world.state, planner, lambda: world.now, Limits(), lambda: None, quarantine())
    async with asyncio.TaskGroup() as tasks:
        planning.advance(tasks)
    assert batch in planning.plan_results


async def test_with_the_last_unfinished_batch_that_reads_a_file_its_plan_is_forgotten():
    world = World()
    world.model("small")
    batch = world.created("a")
    planner = FailingPlanner(failures=0)
    planning = Planning(world.state, planner, lambda: world.now, Limits(), lambda: None, quarantine())
    async with asyncio.TaskGroup() as tasks:
        planning.advance(tasks)
    file = world.state.batches[batch].file
    assert file is not None
    blob = file.blob
    assert planner.kept == [{blob}], "an earlier scheduler may have kept others"
    del world.state.batches[batch]
    async with asyncio.TaskGroup() as tasks:
        planning.advance(tasks)
        planning.advance(tasks)
    assert planner.kept == [{blob}, set()]
