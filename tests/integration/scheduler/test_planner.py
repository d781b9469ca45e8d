"""The worker that reads files never outlives the scheduler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.stack import wait_until

pytestmark = pytest.mark.integration

SERVICE = """
import asyncio, sys
from vbatch.scheduler.adapters.planner import process_planner

async def main():
    async with process_planner("file://" + sys.argv[1]):
        print("there", flush=True)
        await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""
END_SECONDS_MAX = 10.0


def test_a_worker_ends_whose_service_was_killed_before_it_came_up(tmp_path: Path):
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    service = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with service:
        assert service.stdout is not None and service.stdout.readline() == "there\n"
        workers = psutil.Process(service.pid).children(recursive=True)
        service.kill()
    assert workers
    wait_until(lambda: not any(worker.is_running() for worker in workers), "the workers are gone", END_SECONDS_MAX)
