"""What the scheduler needs in addition to the journal: a clock, and a reader of input files."""

from __future__ import annotations

from collections.abc import Callable, Set
from datetime import datetime
from typing import Protocol

from vbatch.scheduler.core.decide import PlanResult
from vbatch.scheduler.core.planning.validation import FileRules

Clock = Callable[[], datetime]
"""Returns aware UTC."""


class Planner(Protocol):
    """Reads input files without holding up the event loop."""

    async def plan(self, blob: str, file_bytes: int, rules: FileRules) -> PlanResult:
        """The plan of a valid file, or all its faults; small files do not wait for large ones.

        Raises InputMissing, PlanningTrouble.
        """

    def keep_only(self, blobs: Set[str]) -> None:
        """Forget what is kept of other input files: no unfinished batch reads them."""


class InputMissing(Exception):
    """The blob store does not have the file; trying again will not help."""


class PlanningTrouble(Exception):
    """The file could not be read this time; a retry may help."""


class CheckerDied(PlanningTrouble):
    """The process that read the file died, because of the file or of something else."""
