"""The labeler of one simulated machine: the real flows, a Label Studio that loses answers, kills and zombies by seed.

People judge, change their minds and delete while the weather is bad. What must come out is read from what stands in
Label Studio in the end, not from any rule of the service.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import msgspec

from tests.simulation.checks import Violation
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import Lane, SimulatedLoop, Stuck
from tests.simulation.run import BEGIN, _service_logs
from tests.simulation.weather import Weather
from tests.simulation.webhooks import _go_on, _is_expected, _no_orders
from tests.support.events import BATCH, LABELING_REQUESTED, OWNER
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import LabelingId, labeling_id_of
from vbatch.contracts.labeling import LabelingAnswer, LabelingItem, LabelingTemplate
from vbatch.journal.memory import MemoryJournal
from vbatch.journal.settings import JournalSettings
from vbatch.labeler.core.annotations import Annotation, LabeledTask
from vbatch.labeler.core.tasks import Task
from vbatch.labeler.flows.serving import Progress, serve
from vbatch.labeler.ports import Away, Dependencies, ProjectGone

LABELINGS, ITEMS = 3, 300
STORM_SECONDS, CALM_SECONDS, SCAN_SECONDS = 60.0, 900.0, 120.0
PAGE_TASKS = 50
POLL_SECONDS = 3.0
VERDICTS = ("good", "bad", "unsure")


@dataclass
class SimulatedTask:
    task: LabeledTask
    project_id: int


@dataclass
class SimulatedLabelStudio:
    """What is asked may fail before or after it is done; an import may be stored after its sender is dead."""

    weather: Weather
    projects: dict[int, str] = field(default_factory=dict)
    held: dict[int, SimulatedTask] = field(default_factory=dict)
    clock: int = 0

    async def create_project(self, title: str, description: str, config: str) -> int:
        async with self._asked():
            project_id = len(self.projects) + 1
            self.projects[project_id] = description
        return project_id

    async def find_project(self, description: str) -> int | None:
        async with self._asked():
            return next((key for key, each in self.projects.items() if each == description), None)

    async def import_tasks(self, project_id: int, tasks: Sequence[Task]) -> None:
        async with self._asked():
            for task in tasks:
                number = len(self.held) + 1
                while number in self.held:
                    number += 1
                data = msgspec.to_builtins(task.data)
                self.held[number] = SimulatedTask(LabeledTask(id=number, data=data, updated_at=self.tick()), project_id)

    async def newest_keys(self, project_id: int, count: int) -> set[str]:
        async with self._asked():
            numbers = sorted((key for key, each in self.held.items() if each.project_id == project_id), reverse=True)
            return {self.held[number].task.key for number in numbers[:count]}

    async def tasks(self, project_id: int) -> AsyncIterator[Sequence[LabeledTask]]:
        first = 0
        while True:
            async with self._asked():
                found = [each.task for each in self.held.values() if each.project_id == project_id]
                found.sort(key=lambda task: task.updated_at, reverse=True)
                page = found[first : first + PAGE_TASKS]
            if page or first == 0:
                yield page
            first += PAGE_TASKS
            if first >= len(found):
                return

    async def delete_task(self, task_id: int) -> None:
        async with self._asked():
            self.held.pop(task_id, None)

    async def provide_bell(self, project_id: int, url: str, secret: str) -> None:
        raise ProjectGone(f"nobody rings here: {project_id}")

    def tick(self) -> str:
        self.clock += 1
        return f"{self.clock:09d}"

    # what people do

    def judge(self, random: Random) -> None:
        """Somebody submits, changes, skips or deletes one annotation."""
        if not self.held:
            return
        held = self.held[random.choice(sorted(self.held))]
        present = held.task.annotations
        if present and random.random() < 0.3:
            kept = present[1:]
        elif present and random.random() < 0.5:
            kept = [_annotation(present[0].id, self.tick(), random), *present[1:]]
        else:
            kept = [*present, _annotation(self.clock + 1_000_000, self.tick(), random)]
        held.task = msgspec.structs.replace(held.task, annotations=kept, updated_at=self.tick())

    def _asked(self) -> _Asking:
        return _Asking(self.weather)


@dataclass
class _Asking:
    """One exchange over a bad network."""

    weather: Weather

    async def __aenter__(self) -> None:
        await self.weather.wait()
        if self.weather.strikes(0.1):
            raise Away("the request is lost")

    async def __aexit__(self, kind: object, error: object, traceback: object) -> None:
        await self.weather.wait()
        if error is None and self.weather.strikes(0.1):
            raise Away("the answer is lost")


class SimulatedItems:
    async def read(self, blob: str) -> list[LabelingItem]:
        return [_item(line) for line in range(1, ITEMS + 1)]


@dataclass
class LabelingOutcome:
    """What one seed gave."""

    violation: Violation | None = None
    tasks: int = 0
    judgements: int = 0
    lives: int = 0


class LabelingRun:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._loop = SimulatedLoop(self._random)
        self._weather = Weather(self._random)
        self._journal = MemoryJournal(JournalSettings("nats://simulated", "simulation"), self._now)
        self._label_studio = SimulatedLabelStudio(self._weather)
        self._outcome = LabelingOutcome()
        self._lanes: list[Lane] = []
        self._bug: BaseException | None = None

    def result(self) -> LabelingOutcome:
        with _service_logs(None):
            try:
                self._loop.run_until_complete(self._live())
            except Violation as violation:
                self._outcome.violation = violation
            except Stuck as stuck:
                self._outcome.violation = Violation("every_item_is_one_task", str(stuck))
            finally:
                self._loop.end()
        return self._outcome

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=self._loop.time())

    async def _live(self) -> None:
        self._start()
        raging = asyncio.create_task(self._rage())
        for number in range(LABELINGS):
            await asyncio.sleep(self._random.random() * 10)
            await self._journal.log.append(codec.encode(self._requested(number), source="simulation"))
        while self._loop.time() < STORM_SECONDS:
            await asyncio.sleep(self._random.random())
            self._label_studio.judge(self._random)
        raging.cancel()
        self._weather.clear_up()
        if not await self._until(self._is_over, CALM_SECONDS):
            raise Violation(*self._difference())
        await asyncio.sleep(2 * SCAN_SECONDS)  # a zombie that wakes late is cleaned up after, and says nothing more
        if not self._is_over():
            raise Violation(*self._difference())
        self._judge()

    def _requested(self, number: int) -> e.LabelingRequested:
        return msgspec.structs.replace(
            LABELING_REQUESTED,
            at=self._now(),
            labeling_id=_labeling_id(number),
            template=LabelingTemplate.CHAT,
            item_count=ITEMS,
            labels=(),
            project_id=None,
        )

    async def _rage(self) -> None:
        while self._weather.violence:
            await asyncio.sleep(self._random.expovariate(self._weather.violence / 4))
            lane = self._lanes[-1]
            if self._random.random() < 0.4:
                lane.is_paused = True  # taken for dead; it wakes later, as a zombie
                self._loop.call_later(self._random.random() * 5, _go_on, lane)
                self._start()
            else:
                self._loop.kill(lane)

    # the process and its supervisor

    def _start(self) -> None:
        lane, context = self._loop.open_lane("labeler")
        self._lanes.append(lane)
        self._outcome.lives += 1
        dependencies = Dependencies(
            journal=SimulatedJournal(self._journal, lane, self._weather, _no_orders),
            label_studio=self._label_studio,
            items=SimulatedItems(),
            pid=self._outcome.lives,
            now=self._now,
            pull_seconds=5.0,
            full_scan_seconds=SCAN_SECONDS,
        )
        task = self._loop.create_task(serve(dependencies, Progress()), context=context)
        self._loop.create_task(self._watch(lane, task))

    async def _watch(self, lane: Lane, task: asyncio.Task[None]) -> None:
        await asyncio.wait([task])
        error = None if task.cancelled() else task.exception()
        if error is not None and not lane.is_dead and not _is_expected(error):
            self._bug = error
        self._loop.kill(lane)
        if lane is self._lanes[-1]:
            await asyncio.sleep(self._random.random())
            self._start()

    # what must come out

    def _said_here(self) -> Counter[str]:
        """The verdict that counts for each annotation, as the log has it."""
        told: dict[str, str] = {}
        for record in self._journal._log_stream.records:
            match codec.decode(record):
                case e.JudgementRecorded() as judgement:
                    told[judgement.judgement_id] = f"{judgement.reference} {judgement.verdict}"
                case e.JudgementWithdrawn() as withdrawn:
                    told.pop(withdrawn.judgement_id, None)
                case _:
                    pass
        return Counter(told.values())

    def _said_there(self) -> Counter[str]:
        return Counter(
            f"{held.task.key.rpartition(':')[0]}/{number}/{each.id} {each.result[0].value.choices[0]}"
            for number, held in self._label_studio.held.items()
            for each in held.task.annotations
        )

    def _keys(self) -> Counter[str]:
        return Counter(held.task.key for held in self._label_studio.held.values())

    def _extra(self) -> int:
        """Copies of tasks that nobody judged; a copy that somebody judged stays."""
        judged = Counter(held.task.key for held in self._label_studio.held.values() if held.task.annotations)
        return sum(count - max(1, judged[key]) for key, count in self._keys().items())

    def _is_over(self) -> bool:
        if self._bug is not None:
            raise Violation("no_process_ends_on_a_bug", repr(self._bug))
        is_pushed = len(self._keys()) == LABELINGS * ITEMS and not self._extra()
        return is_pushed and self._said_here() == self._said_there()

    def _difference(self) -> tuple[str, str]:
        if len(self._keys()) != LABELINGS * ITEMS or self._extra():
            return "every_item_is_one_task", f"{len(self._keys())} keys, {self._extra()} copies too many"
        here, there = self._said_here(), self._said_there()
        return "every_judgement_counts_once", f"only here {here - there}, only there {there - here}"

    def _judge(self) -> None:
        decoded = [codec.decode(record) for record in self._journal._log_stream.records]
        recorded = Counter(event.judgement_id for event in decoded if isinstance(event, e.JudgementRecorded))
        self._outcome.tasks, self._outcome.judgements = len(self._label_studio.held), len(recorded)
        if recorded and max(recorded.values()) > 1:
            raise Violation("a_zombie_records_nothing", str(recorded.most_common(1)))

    async def _until(self, is_so: object, seconds_max: float) -> bool:
        assert callable(is_so)
        deadline = self._loop.time() + seconds_max
        while not is_so():
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True


def _labeling_id(number: int) -> LabelingId:
    return labeling_id_of(OWNER, str(number))


def _item(line: int) -> LabelingItem:
    answer = LabelingAnswer(batch_id=BATCH, line=line, custom_id=f"row-{line}", model_version="m@1", text="4")
    return LabelingItem(messages=[{"role": "user", "content": "2 + 2?"}], answer=answer)


def _annotation(number: int, updated_at: str, random: Random) -> Annotation:
    result = [{"from_name": "verdict", "value": {"choices": [random.choice(VERDICTS)]}}]
    fields = {"id": number, "updated_at": updated_at, "created_username": " ada@example.com, 1", "result": result}
    return msgspec.convert(fields, Annotation)
