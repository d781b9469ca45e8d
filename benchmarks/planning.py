"""How long the scheduler's worker takes for one file, and how much memory; alone, since a worker imports its parent.

python -m benchmarks.planning FILE MODEL REQUESTS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import psutil

from vbatch.contracts.endpoints import CHAT_COMPLETIONS
from vbatch.contracts.ids import ModelId
from vbatch.scheduler.adapters.planner import ProcessPlanner, process_planner
from vbatch.scheduler.core.plan import Plan
from vbatch.scheduler.core.validation import FileRules

TRIES = 3


async def measure(path: Path, rules: FileRules) -> dict[str, float]:
    """From asking to having the plan, the best of some tries; memory at its highest in all of them."""
    async with process_planner(path.parent.as_uri()) as planner:
        seconds = [await _seconds(planner, path, rules) for _ in range(TRIES)]
        workers = psutil.Process().children(recursive=True)
        spent = [each.cpu_times() for each in workers]
        peak_bytes = max(_peak_bytes(each) for each in workers)
    return {
        "seconds": min(seconds),
        "cpu_seconds": sum(each.user + each.system for each in spent) / TRIES,
        "peak_rss_mb": peak_bytes / 1e6,
    }


async def _seconds(planner: ProcessPlanner, path: Path, rules: FileRules) -> float:
    began = time.monotonic()
    planned = await planner.plan(path.name, rules)
    seconds = time.monotonic() - began
    if not isinstance(planned, Plan) or len(planned) != rules.lines_max:
        sys.exit(f"the file was not planned: {len(planned)} requests or faults")
    return seconds


def _peak_bytes(process: psutil.Process) -> int:
    """The highest resident memory it ever had, as Linux counts it; what it has now elsewhere."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.is_file():
        return int(process.memory_info().rss)
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    file, model, requests = sys.argv[1:]
    rules = FileRules(CHAT_COMPLETIONS, {ModelId(model): (CHAT_COMPLETIONS,)}, lines_max=int(requests))
    sys.stdout.write(json.dumps(asyncio.run(measure(Path(file), rules))))
