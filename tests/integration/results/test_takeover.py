"""Scheduler and results as two processes each: the second takes over when the first is killed, and the work goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.integration.results.stage import Place, Story, eventually, tell
from vbatch.journal.port import Journal

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

TAKEOVER_SECONDS_MAX = 10.0
"""On a busy machine; the known failures of `./taskw test:chaos` allow 3 s."""
LEASES = {"scheduler": "evt.scheduler.main.lease", "results": "evt.results.main.lease"}


@contextmanager
def process(service: str, place: Place, log: Path, more: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        "VBATCH_HOME": str(place.home),
        "VBATCH_NATS_URL": place.nats_url,
        "VBATCH_POSTGRES_URL": place.postgres_url,
        "VBATCH_PORT": "0",
        "VBATCH_PARENT_DEATH": "1",
        **more,
    }
    (place.home / "run").mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", f"vbatch.{service}"], env=os.environ | environment, stdout=out, stderr=out
        )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


async def leases(journal: Journal, service: str) -> int:
    record = await journal.log.last(LEASES[service])
    return record.sequence if record is not None else 0


@pytest.mark.parametrize("service", ["scheduler", "results"])
async def test_a_standby_takes_the_lease_soon_after_the_first_is_killed_and_the_first_waits_when_it_is_back(
    service: str, place: Place, journal: Journal, tmp_path: Path
):
    standby = {f"VBATCH_{service.upper()}_STANDBY": "true"}
    first_log, second_log, third_log = (tmp_path / f"{name}.log" for name in ("first", "second", "third"))

    def has_said(log: Path, words: str) -> bool:
        return words in log.read_text()

    async def said(log: Path, words: str) -> bool:
        return await asyncio.to_thread(has_said, log, words)

    with ExitStack() as stack:
        first = stack.enter_context(process(service, place, first_log, {}))
        await eventually(lambda: leases(journal, service))
        lease = await leases(journal, service)
        second = stack.enter_context(process(service, place, second_log, standby))
        await eventually(lambda: said(second_log, "standing_by"))
        await asyncio.sleep(3.0)
        assert await leases(journal, service) == lease, "it took the lease of a process that lives"

        first.kill()
        killed_at = time.monotonic()
        while await leases(journal, service) == lease:
            await asyncio.sleep(0.02)
            assert time.monotonic() - killed_at < TAKEOVER_SECONDS_MAX
        taken = await leases(journal, service)
        stack.enter_context(process(service, place, third_log, standby))
        await eventually(lambda: said(third_log, "standing_by"))
        if service == "results":
            story = Story(1, total=20)
            await place.put_input(story)
            await tell(journal, [*story.opening(), *story.chunks(), story.finalizing()])
            await place.has_status(story, "completed")
        else:
            await eventually(lambda: said(second_log, "caught_up"))
        assert await leases(journal, service) == taken and second.poll() is None
