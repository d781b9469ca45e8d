"""What the labeler needs from outside: Label Studio, the blobs of items, the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vbatch.contracts.labeling import LabelingItem
from vbatch.journal.port import Journal
from vbatch.labeler.core.annotations import LabeledTask
from vbatch.labeler.core.tasks import Task


class Away(Exception):
    """Raised when Label Studio or a blob store does not answer as it should; a retry may help."""


class Refused(Exception):
    """Raised when Label Studio understood a request and refuses it; only a person can help. The text has its words."""


class ProjectGone(Exception):
    """Raised when Label Studio no longer has the project."""


class LabelStudio(Protocol):
    """Every method raises Away and Refused; those that name a project raise ProjectGone."""

    async def create_project(self, title: str, description: str, config: str) -> int: ...

    async def find_project(self, description: str) -> int | None:
        """The project with this description; None if there is none."""

    async def import_tasks(self, project_id: int, tasks: Sequence[Task]) -> None: ...

    async def newest_keys(self, project_id: int, count: int) -> set[str]:
        """The keys of the newest tasks of the project, at most `count`."""

    def tasks(self, project_id: int) -> AsyncIterator[Sequence[LabeledTask]]:
        """All tasks with their annotations, page by page, the last changed ones first."""

    async def delete_task(self, task_id: int) -> None:
        """Delete the task; a task that does not exist counts as deleted."""

    async def provide_bell(self, project_id: int, url: str, secret: str) -> None:
        """Make the project notify this URL of every change, with the secret in a header."""


class Items(Protocol):
    async def read(self, blob: str) -> list[LabelingItem]:
        """Read the items. Raises Away."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    journal: Journal
    label_studio: LabelStudio
    items: Items
    pid: int
    now: Callable[[], datetime]
    pull_seconds: float
    full_scan_seconds: float
    bell_url: str | None = None
    bell_secret: str = ""
