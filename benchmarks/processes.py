"""Memory and CPU of each program of a stack while it works, its children included, measured from outside."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from statistics import median
from types import TracebackType
from typing import Self

import psutil

SAMPLE_SECONDS = 0.25


class Sampler:
    """Looks at the process trees below `roots` (program → pid) from entering until leaving, in its own thread.

    A process whose command line has the word `apart[name]` counts as `name`, not as the program above it. If a process
    ends between two looks, its CPU seconds since its last look are lost.
    """

    def __init__(self, roots: Mapping[str, int], apart: Mapping[str, str]) -> None:
        self._roots, self._apart = roots, apart
        self._names = [*roots, *apart]
        self._first: dict[tuple[str, int], float] = {}
        self._last: dict[tuple[str, int], float] = {}
        self._peaks = dict.fromkeys(self._names, 0)
        self._peak_of_all = 0
        self._looks: list[dict[str, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._look(is_first=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    @property
    def peak_bytes(self) -> Mapping[str, int]:
        """Peak resident bytes by program; each process counts its part of the pages that several processes share."""
        return self._peaks

    @property
    def peak_bytes_of_all(self) -> int:
        """The highest sum over all programs at one moment, without the processes that count apart."""
        return self._peak_of_all

    def drift_bytes(self, name: str) -> int:
        """The growth of resident bytes from the second to the last quarter of the looks, by their medians."""
        resident = [look[name] for look in self._looks]
        quarter = len(resident) // 4
        if not quarter:
            return 0
        return int(median(resident[-quarter:]) - median(resident[quarter : 2 * quarter]))

    @property
    def cpu_seconds(self) -> Mapping[str, float]:
        spent = dict.fromkeys(self._names, 0.0)
        for (name, pid), seconds in self._last.items():
            spent[name] += seconds - self._first.get((name, pid), 0.0)
        return spent

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self, *, is_first: bool = False) -> None:
        resident = dict.fromkeys(self._names, 0)
        for name, pid in self._roots.items():
            tree = _tree(pid)
            for member in tree:
                with suppress(psutil.NoSuchProcess):
                    owner = self._owner(name, member)
                    resident[owner] += _resident_bytes(member, is_alone=len(tree) == 1)
                    self._note_cpu(owner, member, is_first=is_first)
        self._looks.append(resident)
        self._peaks = {name: max(peak, resident[name]) for name, peak in self._peaks.items()}
        self._peak_of_all = max(self._peak_of_all, sum(resident[name] for name in self._roots))

    def _owner(self, name: str, process: psutil.Process) -> str:
        words = process.cmdline()  # read each time: between fork and exec a process has its parent's
        return next((each for each, word in self._apart.items() if word in words), name)

    def _note_cpu(self, owner: str, process: psutil.Process, *, is_first: bool) -> None:
        times = process.cpu_times()
        key = (owner, process.pid)
        self._last[key] = times.user + times.system
        if is_first:
            self._first[key] = self._last[key]


def _resident_bytes(process: psutil.Process, *, is_alone: bool) -> int:
    """The bytes of its resident pages; if others of its tree may share them, its proportional share, which is slower to
    read."""
    memory = process.memory_info() if is_alone or not psutil.LINUX else process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def _tree(pid: int) -> Sequence[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
