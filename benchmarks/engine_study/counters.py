"""Reads the engine's own counters from outside: how full it was while work waited, and the hits of its cache."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

LOOK_SECONDS = 1.0
"""A look costs the engine some milliseconds: compared with an unwatched engine, ours is not watched either."""
FULL_SHARE = 0.95
_VALUE = re.compile(r"^vllm:(\w+?)(?:_total)?(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counters:
    """Totals since the engine started, and the requests inside it now."""

    running: float
    waiting: float
    finished: float
    prefix_queries: float
    prefix_hits: float
    preemptions: float


class EngineWindow(http.client.HTTPConnection):
    """HTTP to the engine's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("engine")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def look(path: Path) -> Counters:
    window = EngineWindow(path)
    window.request("GET", "/metrics")
    text = window.getresponse().read().decode()
    window.close()
    sums: dict[str, float] = {}
    for name, value in _VALUE.findall(text):
        sums[name] = sums.get(name, 0.0) + float(value)
    return Counters(
        running=sums["num_requests_running"],
        waiting=sums["num_requests_waiting"],
        finished=sums["request_success"],
        prefix_queries=sums.get("prefix_cache_queries", 0.0),
        prefix_hits=sums.get("prefix_cache_hits", 0.0),
        preemptions=sums.get("num_preemptions", 0.0),
    )


@dataclass
class Watch:
    """Looks at an engine that will run `requests` more, in a thread, from entering until leaving. With `is_constant`
    unset, it looks only when entering and leaving.

    A look counts from the moment the engine was full until nothing waits outside any more. It is a bubble when no
    request waited inside either (so that the engine could have taken one) and fewer than 95 % of what it can run at
    once ran.
    """

    path: Path
    requests: int
    runs_at_once: int
    is_constant: bool = True
    looks: int = 0
    bubbles: int = 0
    first: Counters = field(init=False)
    last: Counters = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.first = self.last = look(self.path)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self.last = look(self.path)

    @property
    def prefix_hit_ratio(self) -> float:
        queries = self.last.prefix_queries - self.first.prefix_queries
        return (self.last.prefix_hits - self.first.prefix_hits) / queries if queries else 0.0

    def figures(self) -> dict[str, float]:
        return {
            "bubble_fraction": self.bubbles / max(1, self.looks),
            "looks": float(self.looks),
            "prefix_hit_ratio": self.prefix_hit_ratio,
            "preemptions": self.last.preemptions - self.first.preemptions,
        }

    def _run(self) -> None:
        while self.is_constant and not self._stop.wait(LOOK_SECONDS):
            self._count(look(self.path))

    def _count(self, now: Counters) -> None:
        came = now.finished - self.first.finished + now.running + now.waiting
        if came == 0 or came >= self.requests:
            return  # the file has not arrived yet, or nothing waits outside any more
        is_full = bool(now.waiting) or now.running >= FULL_SHARE * self.runs_at_once
        self.looks += is_full or self.looks > 0
        self.bubbles += self.looks > 0 and not is_full
