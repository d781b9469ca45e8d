"""The process as an operator sees it: ready or not, its figures, its end."""

import asyncio
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.results.stage import Place, Story, eventually, results_process, tell
from tests.support.events import NOON
from tests.support.nats import NatsServer
from tests.support.postgres import free_port, running_postgres
from vbatch.contracts.message import Recorded
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration


async def test_it_is_ready_once_it_projects_and_tells_its_figures(place: Place, journal: Journal, tmp_path: Path):
    story, port = Story(1, total=20), free_port()
    await place.put_input(story)
    await journal.dead.append(Recorded(1, "evt.batch.b1.created", {}, b"{", NOON), "cannot be read")
    with results_process(place, tmp_path / "results.log", port):
        await tell(journal, [*story.opening(), *story.chunks(), story.finalizing()])
        await place.has_status(story, "completed")
        await eventually(lambda: _has_ready(port, 200))
        metrics = await _text(port, "metrics")

    assert "vbatch_results_outcomes_total 20.0" in metrics
    assert "vbatch_dead_letters 1.0" in metrics
    assert 'vbatch_results_sealed_total{ending="completed"} 1.0' in metrics


async def test_it_is_not_ready_without_postgresql_and_names_it(nats: NatsServer, journal: Journal, tmp_path: Path):
    port = free_port()
    with running_postgres(tmp_path) as server:
        place = Place(tmp_path / "home", nats.url, server.url())
        with results_process(place, tmp_path / "results.log", port) as child:
            await eventually(lambda: _has_ready(port, 200))
            os.kill(server.pid, signal.SIGQUIT)
            await eventually(lambda: _has_ready(port, 503))
            checks = (await _ready(port))[1]["checks"]
            assert child.poll() is None

    assert not checks["postgres"]["ok"]
    assert checks["nats"]["ok"]


async def test_it_is_ready_again_after_nats_was_killed(
    place: Place, journal: Journal, nats: NatsServer, tmp_path: Path
):
    story, port = Story(1, total=20), free_port()
    await place.put_input(story)
    with results_process(place, tmp_path / "results.log", port) as child:
        await eventually(lambda: _has_ready(port, 200))
        nats.kill()
        await eventually(lambda: _has_ready(port, 503))
        await nats.start()
        await tell(journal, [*story.opening(), *story.chunks(), story.finalizing()])
        await place.has_status(story, "completed")
        await eventually(lambda: _has_ready(port, 200))
        assert child.poll() is None


async def test_a_seal_cut_off_by_kill_9_is_done_again_to_the_same_bytes(place: Place, journal: Journal, tmp_path: Path):
    story = Story(1, total=800, padding=200)
    await place.put_input(story)
    await tell(journal, [*story.opening(), *story.chunks(), story.finalizing()])
    for moment in ("lease_taken", "projection_started"):
        with results_process(place, tmp_path / f"{moment}.log") as child:
            await eventually(partial(_has_logged, tmp_path / f"{moment}.log", moment))
            child.kill()
    with results_process(place, tmp_path / "sealing.log") as child:
        await eventually(lambda: _has_a_sealed_blob(place, story))
        child.kill()
    with results_process(place, tmp_path / "results.log"):
        await place.has_status(story, "completed")

    assert await place.sealed_files(story) == story.files()
    ends = [record.subject for record in await _whole_log(journal) if record.subject.endswith(".completed")]
    assert len(ends) == 1


async def _has_a_sealed_blob(place: Place, story: Story) -> bool:
    return await place.blobs.exists(f"outputs/{story.batch_id}_output.jsonl")


async def _has_logged(log: Path, event: str) -> bool:
    return event in await asyncio.to_thread(log.read_text)


async def _whole_log(journal: Journal) -> list[Any]:
    records: list[Any] = []
    head = await journal.log.last_sequence()
    async with journal.log.tail(0) as arrivals:
        while not records or records[-1].sequence < head:
            records += await anext(arrivals)
    return records


async def _has_ready(port: int, status: int) -> bool:
    return (await _ready(port))[0] == status


async def _ready(port: int) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/ready") as response,
    ):
        return response.status, await response.json()


async def _text(port: int, page: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/{page}") as response:
        return await response.text()
