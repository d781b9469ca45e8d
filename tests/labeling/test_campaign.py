"""The real labeler and a real Label Studio are killed and frozen while answers go out and people judge."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest

from tests.integration.gateway.curated import answered_batch
from tests.integration.gateway.stage import Stage
from tests.labeling.label_studio import LabelStudioServer, People
from tests.labeling.test_label_studio import (
    arm,
    judgements,
    labeler_settings,
    push,
    pushed,
    start_labeler,
    until,
)
from vbatch.chassis.failpoints import FOLDER_VARIABLE, Failpoint

pytestmark = [pytest.mark.labeling, pytest.mark.timeout(900)]

SEED = 20
ITEMS, LABELINGS, ROUNDS = 150, 3, 3
CHATS = [(f"What is {number} + {number}?", str(2 * number)) for number in range(1, ITEMS + 1)]
VERDICTS = ("good", "bad", "unsure")
PAUSE_SECONDS = (0.3, 2.5)
FREEZE_SECONDS = 4.0
JUDGING_SECONDS = (0.05, 0.5)
JUDGED_BETWEEN_FAULTS = 3
PLACES = tuple(place for place in Failpoint if place.process == "labeler")
OFTEN = {"VBATCH_LABELER_PULL_SECONDS": "1", "VBATCH_LABELER_FULL_SCAN_SECONDS": "5"}
"""Copies that a zombie sent are found, and removed, after the second."""


@dataclass
class Campaign:
    """One labeler with its supervisor, and the Label Studio that it talks to."""

    stage: Stage
    label_studio: LabelStudioServer
    people: People
    random: Random
    failpoints: Path
    process: subprocess.Popen[bytes] | None = None
    zombies: list[subprocess.Popen[bytes]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        self.failpoints.mkdir(exist_ok=True)
        settings = labeler_settings(self.stage, self.label_studio) | OFTEN | {FOLDER_VARIABLE: str(self.failpoints)}
        self.process = start_labeler(self.stage.place.home / "labeler.log", settings)

    async def supervise(self) -> None:
        """For ever: a labeler that has ended is started again."""
        while True:
            if self.process is None or self.process.poll() is not None:
                self.start()
            await asyncio.sleep(0.1)

    async def strike(self) -> None:
        """Do each fault once, in an order that the seed draws."""
        for fault in self.random.sample(FAULTS, len(FAULTS)):
            await asyncio.sleep(self.random.uniform(*PAUSE_SECONDS))
            await fault(self)
            self.done[fault.__name__] += 1
            await self.people_go_on()

    async def kill_labeler(self) -> None:
        if self.process is not None:
            self.process.kill()

    async def kill_labeler_at_a_place(self) -> None:
        """The next labeler that comes there ends."""
        arm(self.failpoints, self.random.choice(PLACES))

    async def freeze_labeler(self) -> None:
        """Another takes over; the frozen one wakes as a zombie."""
        frozen, self.process = self.process, None
        if frozen is None:
            return
        self.zombies.append(frozen)
        frozen.send_signal(signal.SIGSTOP)
        await asyncio.sleep(FREEZE_SECONDS)
        frozen.send_signal(signal.SIGCONT)

    async def kill_label_studio(self) -> None:
        self.label_studio.stop()
        self.label_studio.start()
        await self.label_studio.is_ready()

    async def judge(self, task_ids: Sequence[int], random: Random) -> None:
        """For ever: somebody submits, changes or deletes an annotation, whenever Label Studio answers."""
        own: list[int] = []
        while True:
            await asyncio.sleep(random.uniform(*JUDGING_SECONDS))
            try:
                await self._judge_once(random.choice(task_ids), own, random)
                self.done["judged"] += 1
            except (aiohttp.ClientError, AssertionError):
                self.done["judged in vain"] += 1  # Label Studio is dead, or was killed while it answered

    async def _judge_once(self, task_id: int, own: list[int], random: Random) -> None:
        verdict, change = random.choice(VERDICTS), random.random()
        if own and change < 0.2:
            await self.people.ask("DELETE", f"/api/annotations/{own.pop(random.randrange(len(own)))}/")
        elif own and change < 0.5:
            await self.people.change(random.choice(own), verdict=verdict)
        else:
            own.append(await self.people.annotate(task_id, verdict=verdict))

    async def people_go_on(self) -> None:
        """Wait until somebody has judged a little more."""
        wanted = self.done["judged"] + JUDGED_BETWEEN_FAULTS

        async def is_reached() -> bool:
            return self.done["judged"] >= wanted

        await until(is_reached)

    def end(self) -> None:
        for process in (self.process, *self.zombies):
            if process is not None:
                process.kill()
                process.wait()


FAULTS: tuple[Callable[[Campaign], Awaitable[None]], ...] = (
    Campaign.kill_labeler,
    Campaign.kill_labeler_at_a_place,
    Campaign.freeze_labeler,
    Campaign.kill_label_studio,
)


@asynccontextmanager
async def running(campaign: Campaign) -> AsyncIterator[Campaign]:
    """A campaign whose labeler is started again whenever it ends."""
    try:
        async with meanwhile(campaign.supervise()):
            yield campaign
    finally:
        campaign.end()
        await campaign.label_studio.is_ready()


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do this beside the block. If it has failed, the end of the block says so."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def said_there(people: People, labelings: Sequence[dict[str, Any]]) -> Counter[str]:
    """The verdicts that stand in Label Studio, each with the reference of its annotation."""
    found: Counter[str] = Counter()
    for labeling in labelings:
        for task in await people.tasks(labeling["project_id"]):
            found.update(
                f"{labeling['id']}/{task['id']}/{each['id']} {each['result'][0]['value']['choices'][0]}"
                for each in task["annotations"]
            )
    return found


async def said_here(stage: Stage) -> Counter[str]:
    return Counter(f"{each['reference']} {each['verdict']}" for each in await judgements(stage))


async def copies(people: People, labeling: dict[str, Any]) -> Counter[str]:
    """Tasks of one item beyond the first, except those that somebody has judged."""
    tasks = await people.tasks(labeling["project_id"])
    held = Counter(task["data"]["vb_key"] for task in tasks)
    judged = Counter(task["data"]["vb_key"] for task in tasks if task["annotations"])
    assert set(held) == {f"{labeling['id']}:{place}" for place in range(ITEMS)}
    return Counter({key: count - max(1, judged[key]) for key, count in held.items()}) - Counter()


async def test_whatever_is_killed_each_item_is_one_task_and_each_annotation_one_judgement(
    stage: Stage, label_studio: LabelStudioServer, people: People, tmp_path: Path
):
    batch_id = await answered_batch(stage, 1, CHATS)
    async with running(Campaign(stage, label_studio, people, Random(SEED), tmp_path / "failpoints")) as campaign:
        asked = [await push(stage, batch_id)]
        first = await pushed(stage, asked[0])
        task_ids = [int(task["id"]) for task in await people.tasks(first["project_id"])]
        async with meanwhile(campaign.judge(task_ids, Random(SEED))):
            for _ in range(ROUNDS):
                if len(asked) < LABELINGS:
                    asked.append(await push(stage, batch_id))
                await campaign.strike()
        labelings = [await pushed(stage, labeling) for labeling in asked]

        async def is_over() -> bool:
            left = [await copies(people, labeling) for labeling in labelings]
            return not any(left) and await said_here(stage) == await said_there(people, labelings)

        try:
            await until(is_over)
        except TimeoutError:
            here, there = await said_here(stage), await said_there(people, labelings)
            pytest.fail(f"seed {SEED}: only here {here - there}, only in Label Studio {there - here}")
        assert sum((await said_here(stage)).values()) > 5
        assert campaign.done["judged"] >= ROUNDS * len(FAULTS) * JUDGED_BETWEEN_FAULTS
        assert all(campaign.done[fault.__name__] == ROUNDS for fault in FAULTS)
    projects = await people.ask("GET", "/api/projects/?page_size=1000")
    descriptions = [project["description"] for project in projects["results"]]
    for labeling in labelings:
        assert sum(labeling["id"] in description for description in descriptions) == 1, descriptions
