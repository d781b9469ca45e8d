"""Sends the items of each labeling to Label Studio, a chunk at a time, and records each chunk before the next.

A chunk that may have arrived without being recorded is looked up before it is sent again, so no task exists twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.contracts import events as e
from vbatch.contracts.ids import LabelingId
from vbatch.contracts.labeling import LabelingItem
from vbatch.journal.port import Unavailable
from vbatch.journal.single_writer import SingleWriter
from vbatch.labeler.core.state import Labeling, State
from vbatch.labeler.core.tasks import CHUNK_TASKS, tasks_of
from vbatch.labeler.core.templates import config_of
from vbatch.labeler.flows.recording import record
from vbatch.labeler.ports import Away, Dependencies, ProjectGone, Refused

SETTLE_SECONDS = 3.0
"""Label Studio may still store an import whose sender has died, so nothing is looked up for this long after the
start."""
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 1.0, 300.0
Say = Callable[[str | None], None]


class Pushing:
    def __init__(self, dependencies: Dependencies, state: State, writer: SingleWriter, say_trouble: Say) -> None:
        self.changed = asyncio.Event()
        self._dependencies = dependencies
        self._state = state
        self._writer = writer
        self._say_trouble = say_trouble
        self._is_in_doubt = True
        self._retry_seconds = RETRY_SECONDS_MIN

    async def run(self) -> None:
        """Run until cancelled, once the past is folded. Raises Fenced."""
        await self._writer.position.caught_up()
        while True:
            self.changed.clear()
            for labeling in self._state.to_push():
                await self._push(labeling)
            await self.changed.wait()

    async def _push(self, labeling: Labeling) -> None:
        """Push the labeling until all of it has arrived or it is refused. Waits while Label Studio has trouble."""
        labeling_id = labeling.requested.labeling_id
        while not (known := self._state.labelings[labeling_id]).is_pushed and not known.is_failed:
            try:
                await self._push_rest(known)
                self._say_trouble(None)
                self._retry_seconds = RETRY_SECONDS_MIN
            except (Away, Unavailable) as error:
                self._is_in_doubt = True
                self._say_trouble(str(error))
                await asyncio.sleep(self._retry_seconds)
                self._retry_seconds = min(2 * self._retry_seconds, RETRY_SECONDS_MAX)
            except (Refused, ProjectGone) as refusal:
                await self._fail(labeling, str(refusal))

    async def _push_rest(self, labeling: Labeling) -> None:
        requested = labeling.requested
        items = await self._dependencies.items.read(requested.blob)
        project_id = labeling.project_id or await self._link(labeling)
        if self._dependencies.bell_url is not None:
            bell = self._dependencies.bell_url
            await self._dependencies.label_studio.provide_bell(project_id, bell, self._dependencies.bell_secret)
        for first in range(labeling.pushed_count, len(items), CHUNK_TASKS):
            await self._send(labeling, project_id, items[first : first + CHUNK_TASKS], first)
            pushed = min(first + CHUNK_TASKS, len(items))
            event = e.TasksPushed(
                at=self._dependencies.now(),
                owner=requested.owner,
                labeling_id=requested.labeling_id,
                pushed_count=pushed,
            )
            await record(self._writer, event)
        get_logger().info("labeling_pushed", labeling_id=requested.labeling_id, project=project_id, tasks=len(items))

    async def _link(self, labeling: Labeling) -> int:
        """The labeling's own project. If a process was killed before it could record the project, it is found again."""
        requested, label_studio = labeling.requested, self._dependencies.label_studio
        description = _description(requested.labeling_id)
        project_id = None
        if self._is_in_doubt:
            await asyncio.sleep(SETTLE_SECONDS)
            project_id = await label_studio.find_project(description)
        if project_id is None:
            config = config_of(requested.template, requested.labels)
            project_id = await label_studio.create_project(requested.title, description, config)
            reached(Failpoint.PROJECT_CREATED)
        event = e.ProjectLinked(
            at=self._dependencies.now(),
            owner=requested.owner,
            labeling_id=requested.labeling_id,
            project_id=project_id,
        )
        await record(self._writer, event)
        return project_id

    async def _send(self, labeling: Labeling, project_id: int, items: Sequence[LabelingItem], first: int) -> None:
        requested, label_studio = labeling.requested, self._dependencies.label_studio
        tasks = tasks_of(requested.labeling_id, requested.template, items, first)
        if self._is_in_doubt:
            await asyncio.sleep(SETTLE_SECONDS)
            there = await label_studio.newest_keys(project_id, 2 * CHUNK_TASKS)
            tasks = [task for task in tasks if task.key not in there]
        if tasks:
            await self._writer.must_be_newest()  # a frozen process must not repeat what another one has sent
            await label_studio.import_tasks(project_id, tasks)
        self._is_in_doubt = False
        reached(Failpoint.TASKS_IMPORTED)

    async def _fail(self, labeling: Labeling, reason: str) -> None:
        requested = labeling.requested
        get_logger().error("labeling_refused", labeling_id=requested.labeling_id, reason=reason)
        event = e.LabelingFailed(
            at=self._dependencies.now(), owner=requested.owner, labeling_id=requested.labeling_id, reason=reason
        )
        await record(self._writer, event)


def _description(labeling_id: LabelingId) -> str:
    return f"Answers of vLLM Batch Server, {labeling_id}"
