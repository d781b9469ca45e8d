"""Memory and CPU of each program of a stack while it works, its children included, looked at from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

SAMPLE_SECONDS = 0.25


class Sampler:
    """Looks at the trees below `roots` (program → pid) from entering until leaving, in a thread of its own.

    CPU seconds of a process that ends between two looks are lost from its last look on.
    """

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = roots
        self._first: dict[tuple[str, int], float] = {}
        self._last: dict[tuple[str, int], float] = {}
        self._peaks = dict.fromkeys(roots, 0)
        self._peak_of_all = 0
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
        """Proportional memory is not readable everywhere, so shared pages count once for each process."""
        return self._peaks

    @property
    def peak_bytes_of_all(self) -> int:
        """The highest sum at one moment."""
        return self._peak_of_all

    @property
    def cpu_seconds(self) -> Mapping[str, float]:
        spent = dict.fromkeys(self._roots, 0.0)
        for (name, pid), seconds in self._last.items():
            spent[name] += seconds - self._first.get((name, pid), 0.0)
        return spent

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self._look()

    def _look(self, *, is_first: bool = False) -> None:
        total = 0
        for name, pid in self._roots.items():
            resident = sum(self._look_at(name, member, is_first=is_first) for member in _tree(pid))
            self._peaks[name] = max(self._peaks[name], resident)
            total += resident
        self._peak_of_all = max(self._peak_of_all, total)

    def _look_at(self, name: str, process: psutil.Process, *, is_first: bool) -> int:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            key = (name, process.pid)
            self._last[key] = times.user + times.system
            if is_first:
                self._first[key] = self._last[key]
            return int(process.memory_info().rss)
        return 0


def _tree(pid: int) -> Iterable[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
