"""How much time and memory the scheduler's worker takes for one file. It runs alone, since a worker imports its parent.

python -m benchmarks.planning FILE MODEL REQUESTS
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from multiprocessing import active_children
from pathlib import Path

from vbatch.contracts.endpoints import CHAT_COMPLETIONS
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.adapters.planner import ProcessPlanner, process_planner
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileRules

TRIES = 3


async def measure(path: Path, file_bytes: int, rules: FileRules) -> dict[str, float]:
    """Measure from the call to the plan, the best of several tries. CPU includes the start of workers; memory is the
    peak."""
    async with process_planner(path.parent.as_uri()) as planner:
        seconds = [await _seconds(planner, path, file_bytes, rules) for _ in range(TRIES)]
    for worker in active_children():
        worker.join()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": min(seconds),
        "cpu_seconds": (spent.ru_utime + spent.ru_stime) / TRIES,
        "peak_rss_mb": spent.ru_maxrss * 1024 / 1e6,
    }


async def _seconds(planner: ProcessPlanner, path: Path, file_bytes: int, rules: FileRules) -> float:
    began = time.monotonic()
    planned = await planner.plan(path.name, file_bytes, rules)
    seconds = time.monotonic() - began
    if not isinstance(planned, Plan) or len(planned) != rules.lines_max:
        sys.exit(f"the file was not planned: {len(planned)} requests or faults")
    return seconds


if __name__ == "__main__":
    file, model, requests = sys.argv[1:]
    rules = FileRules(CHAT_COMPLETIONS, {ModelId(model): (CHAT_COMPLETIONS,)}, lines_max=int(requests))
    sys.stdout.write(json.dumps(asyncio.run(measure(Path(file), Path(file).stat().st_size, rules))))
