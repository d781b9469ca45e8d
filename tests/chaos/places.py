"""The control folder of a campaign's failpoints and clock, from the side of who strikes."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vbatch.chassis.clock import STEP_FILE
from vbatch.chassis.failpoints import Failpoint
from vbatch.chassis.files import write_atomically

POLL_SECONDS = 0.01


class Places:
    """`hits` counts strikes that were done; `reached` says where any process came by, as of the last look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hits: Counter[Failpoint] = Counter()
        self.reached: set[Failpoint] = set()

    def look(self) -> None:
        self.reached = {place for place in Failpoint if (self._folder / f"{place}.reached").exists()}

    @contextmanager
    def armed(self, place: Failpoint, number: signal.Signals) -> Iterator[None]:
        """Within the block, whoever comes to the place first gets the signal."""
        armed = self._folder / f"{place}.armed"
        write_atomically(armed, number.name.removeprefix("SIG").encode())
        try:
            yield
        finally:
            armed.unlink(missing_ok=True)

    def hit(self, place: Failpoint, seconds_max: float) -> int | None:
        """The process that was struck there; None when none came in time."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            for taken in self._folder.glob(f"{place}.*.hit"):
                taken.unlink()
                self.hits[place] += 1
                return int(taken.name.removeprefix(f"{place}.").removesuffix(".hit"))
            time.sleep(POLL_SECONDS)
        return None

    @contextmanager
    def stepped(self, seconds: float) -> Iterator[None]:
        """Within the block every service's clock is off by so much."""
        path = self._folder / STEP_FILE
        write_atomically(path, str(seconds).encode())
        try:
            yield
        finally:
            write_atomically(path, b"0")
