"""The concurrency that the runner finds for a server that it does not know, beside the best fixed concurrency.

The best fixed concurrency is measured with the runner's own HTTP client in a closed loop, without queue, log or batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet_study.runs import TOKENS_MAX, TOKENS_MIN, Part, run, stack_before, varied, work_rate
from tests.support.fleet import Server, servers
from vbatch.contracts.endpoints import CHAT_COMPLETIONS
from vbatch.gpu_runner.adapters.engine.http.client import EngineClient
from vbatch.gpu_runner.adapters.engine.http.connection_pool import TcpTarget

START = 48
"""The concurrency that the model's definition names, whatever its server takes."""
LATENCY_SECONDS, TOKEN_SECONDS = 0.1, 0.01
MEAN_SECONDS = LATENCY_SECONDS + TOKEN_SECONDS * (TOKENS_MIN + TOKENS_MAX) / 2
BATCH_SECONDS, FIXED_SECONDS = 60, 10
"""How long a batch, and the closed loop, keep the server busy."""
REQUEST_SECONDS_MAX = 60.0
REFUSES = ("--waiting-max", "0")
RATIO = "window_vs_best_fixed"
"""The key of the worst ratio; those of the cases begin with it."""


@dataclass(frozen=True)
class Case:
    """A server that runs `capacity` requests at once, and `later` of them after `change_seconds`."""

    name: str
    capacity: int
    fixed: Sequence[int]
    """The fixed concurrencies of which the best one counts."""
    refuses: bool = False
    later: int = 0
    change_seconds: int = 0

    @property
    def options(self) -> list[str]:
        times = ["--latency-seconds", f"{LATENCY_SECONDS}", "--token-seconds", f"{TOKEN_SECONDS}"]
        resize = ["--resize-to", f"{self.later}", "--resize-after-seconds", f"{self.change_seconds}"]
        return ["--max-num-seqs", f"{self.capacity}", *times, *resize, *(REFUSES if self.refuses else ())]

    def requests(self, seconds: float) -> int:
        """As many as the server answers in this time."""
        first = min(seconds, self.change_seconds) if self.later else seconds
        return int((self.capacity * first + self.later * (seconds - first)) / MEAN_SECONDS)


CASES = (
    Case("16", 16, (16, 20, 32)),
    Case("100", 100, (100, 125, 200)),
    Case("100_that_refuses", 100, (95, 100), refuses=True),
    Case("500", 500, (500, 625, 1_000)),
    Case("64_then_192", 64, (240,), later=192, change_seconds=20),
)


def window(case: Case, folder: Path) -> Part:
    """The rate of a batch through the whole stack, as the server sees it, divided by the best fixed one's."""
    with servers(folder, 1, *case.options) as made, stack_before(made, START, folder) as stack:
        done = run(stack, varied(case.requests(BATCH_SECONDS)))
        found = work_rate(made[0])
    best = max(_fixed_rate(folder / f"{size}", case, size) for size in case.fixed)
    figures = {
        f"window_requests_per_second_{case.name}": round(found, 1),
        f"fixed_requests_per_second_{case.name}": round(best, 1),
        f"{RATIO}_{case.name}": round(found / best, 3),
    }
    return Part(figures, [done])


def _fixed_rate(folder: Path, case: Case, size: int) -> float:
    folder.mkdir()
    requests = case.requests(BATCH_SECONDS if case.later else FIXED_SECONDS)
    with servers(folder, 1, *case.options) as (server,):
        asyncio.run(_ask_in_closed_loop(server.start(), varied(requests), size))
        return work_rate(server)


async def _ask_in_closed_loop(server: Server, bodies: Sequence[bytes], size: int) -> None:
    """Keep so many requests inside the server until all are answered."""
    client = EngineClient(TcpTarget(server.host, server.port, server.host), request_seconds_max=REQUEST_SECONDS_MAX)
    waiting = iter(bodies)

    async def ask_on() -> None:
        for body in waiting:
            while (await client.ask(CHAT_COMPLETIONS, body)).status_code == 429:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(LATENCY_SECONDS)

    try:
        await asyncio.gather(*(ask_on() for _ in range(size)))
    finally:
        await client.close()
