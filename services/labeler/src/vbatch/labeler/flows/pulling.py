"""Brings judgements back: whenever the bell rings and at intervals, and less often all of them.

The bell, a webhook of Label Studio, says only that something changed; what changed is read from Label Studio itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vbatch.chassis.failpoints import Failpoint, reached
from vbatch.chassis.logs import get_logger
from vbatch.journal.single_writer import SingleWriter
from vbatch.labeler.core.annotations import LabeledTask
from vbatch.labeler.core.state import State, copies_to_remove, news_of
from vbatch.labeler.flows.recording import record
from vbatch.labeler.ports import Away, Dependencies, ProjectGone, Refused

OVERLAP_TASKS = 20
"""How many tasks that have not changed since the last look are read again: several may change at the same moment."""


class Pulling:
    """`bell` is set when Label Studio reports that something changed."""

    def __init__(
        self,
        dependencies: Dependencies,
        state: State,
        writer: SingleWriter,
        bell: asyncio.Event,
        say_trouble: Callable[[str | None], None],
    ) -> None:
        self._dependencies = dependencies
        self._state = state
        self._writer = writer
        self._bell = bell
        self._say_trouble = say_trouble
        self._seen_until: dict[int, str] = {}
        self._scanned_at = dependencies.now()

    async def run(self) -> None:
        """Run until cancelled, once the past is folded. Raises Fenced."""
        await self._writer.position.caught_up()
        while True:
            self._bell.clear()
            await self._look()
            try:
                async with asyncio.timeout(self._dependencies.pull_seconds):
                    await self._bell.wait()
            except TimeoutError:
                pass  # it is time to look

    async def _look(self) -> None:
        """Look at each project. The first look, and one every `full_scan_seconds`, reads all tasks."""
        self._forget_if_due()
        for project_id in sorted(self._state.projects()):
            try:
                await self._pull(project_id)
                self._say_trouble(None)
            except (Away, Refused) as error:
                self._say_trouble(str(error))
            except ProjectGone:
                self._seen_until.pop(project_id, None)  # its judgements stay

    def _forget_if_due(self) -> None:
        """Make the next look read all tasks if the last such look was long ago."""
        now = self._dependencies.now()
        if (now - self._scanned_at).total_seconds() >= self._dependencies.full_scan_seconds:
            self._seen_until.clear()
            self._scanned_at = now

    async def _pull(self, project_id: int) -> None:
        """Record the tasks that changed since the last look, the newest first."""
        before = self._seen_until.get(project_id, "")
        newest, unchanged = before, 0
        by_key: dict[str, list[LabeledTask]] = {}
        async for tasks in self._dependencies.label_studio.tasks(project_id):
            for task in tasks:
                newest = max(newest, task.updated_at)
                by_key.setdefault(task.key, []).append(task)
                await self._record(task)
                unchanged += task.updated_at <= before
            if unchanged > OVERLAP_TASKS:
                break
        self._seen_until[project_id] = newest
        if not before:
            await self._remove_copies(by_key)

    async def _remove_copies(self, by_key: dict[str, list[LabeledTask]]) -> None:
        """Remove duplicate tasks. A process that was considered dead may have sent tasks late, and Label Studio cannot
        fence it. Copies with annotations stay; if there are none, the oldest copy stays."""
        for same in by_key.values():
            for copy in copies_to_remove(self._state, same):
                get_logger().warning("task_copy_removed", task=copy.id, key=copy.key)
                await self._dependencies.label_studio.delete_task(copy.id)

    async def _record(self, task: LabeledTask) -> None:
        for events in news_of(self._state, task, self._dependencies.now()):
            reached(Failpoint.JUDGEMENT_FETCHED)
            await record(self._writer, *events)
