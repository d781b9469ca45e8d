"""One campaign: a stack, a workload, one fault after the other, and how long each took to be over."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from tests.chaos.faults import Done, Fault, Means, draw
from tests.chaos.history import History
from tests.chaos.remains import remains, still_alive
from tests.chaos.saboteur import Saboteur
from tests.chaos.workload import Workload
from tests.support.stack import RunningStack

RECOVERY_SECONDS_MAX = 60.0
ENDING_SECONDS_MAX = 40.0
"""Results waits up to 30 s for the folder that a frozen process holds."""
END_SECONDS_MAX = 120.0
PAUSE_SECONDS = (0.2, 1.5)
PAIR_SHARE = 0.15
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Recovery:
    """A fault and the seconds until everything was ready and an outcome was recorded again."""

    fault: Fault
    at: float
    seconds: float


@dataclass
class Campaign:
    """What was done and what was seen; `violations` is what may not be."""

    stack: RunningStack
    history: History
    workload: Workload
    saboteur: Saboteur
    random: Random
    recoveries: list[Recovery] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    recovery_seconds_max: float = RECOVERY_SECONDS_MAX
    pair_share: float = PAIR_SHARE
    not_come: int = 0
    """Faults whose victim was not there, or came to no such place in time."""
    orphans: int = 0

    @property
    def kill_count(self) -> int:
        return len(self.recoveries)

    def run(self, kills: int, faults: Iterator[Fault]) -> None:
        """Do `kills` of the faults, then wait for the end of every batch."""
        with _running(self.workload):
            self._await_an_outcome()
            while self.kill_count < kills and not self.violations:
                self._strike(next(faults))
                if self.random.random() >= self.pair_share:
                    time.sleep(self.random.uniform(*PAUSE_SECONDS))
        self._drain()

    def _await_an_outcome(self) -> None:
        """The first model may take as long as a recovery to be there."""
        deadline = time.monotonic() + self.recovery_seconds_max
        while not self.history.last_outcome_at and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _strike(self, fault: Fault) -> None:
        before = self.saboteur.pid(fault.victim)
        second = draw(self.random) if self.random.random() < self.pair_share else None
        done = self.saboteur.do(fault)
        if done is None:
            self.not_come += 1
            return
        if second and second.means is Means.KILL and second.victim != fault.victim:
            self._also(self.saboteur.do(second))
        self._look_for_remains(done)
        self._recover(done, before)

    def _also(self, done: Done | None) -> None:
        """Struck at the same moment as another; both recover together."""
        if done is not None:
            self.recoveries.append(Recovery(done.fault, done.at, 0.0))

    def _look_for_remains(self, done: Done) -> None:
        """Only of what was killed: other victims live on."""
        if done.fault.means is not Means.KILL:
            return
        found = [f"still alive: {process}" for process in still_alive(done.doomed)] + remains(self.stack)
        self.orphans += len(found)
        self.violations += [f"{done.fault}: {remnant}" for remnant in found]

    def _recover(self, done: Done, before: int | None) -> None:
        """Until all is ready, by the process that came after a killed one, and outcomes are recorded."""
        deadline = done.at + self.recovery_seconds_max
        while not self._is_recovered(done, before):
            if time.time() > deadline:
                self.violations.append(f"{done.fault}: not recovered after {self.recovery_seconds_max:g} s")
                return
            time.sleep(POLL_SECONDS)
        self.recoveries.append(Recovery(done.fault, done.at, time.time() - done.at))
        if done.ending is not None:
            self._must_end(done, done.ending)

    def _is_recovered(self, done: Done, before: int | None) -> bool:
        if done.restarts and before is not None and self.saboteur.pid(done.fault.victim) in (None, before):
            return False
        return self.history.last_outcome_at > done.at and self.stack.stack.status().is_ready

    def _must_end(self, done: Done, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(ENDING_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.violations.append(f"{done.fault}: the other process lives on")
            process.kill()
            process.wait()

    def _drain(self) -> None:
        seconds_max = max(END_SECONDS_MAX, self.recovery_seconds_max)
        deadline = time.monotonic() + seconds_max
        while self.history.unfinished and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        stranded = sorted(self.history.unfinished)
        self.violations += [f"{batch_id}: not ended {seconds_max:g} s after the last fault" for batch_id in stranded]
        if self.history.trouble is not None:
            self.violations.append(f"the log could not be read to its end: {self.history.trouble!r}")


@contextmanager
def _running(workload: Workload) -> Iterator[None]:
    thread = threading.Thread(target=workload.run, name="workload")
    thread.start()
    try:
        yield
    finally:
        workload.stop()
        thread.join()
