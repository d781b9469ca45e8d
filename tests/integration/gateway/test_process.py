"""The process: what it refuses to start with, and how it stops."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.integration.results.stage import Place, eventually, results_running
from tests.support.postgres import free_port
from vbatch.journal.port import Journal

pytestmark = pytest.mark.integration

MODELS = '[[model]]\nid = "org/m"\nengine = "simulated"\n'


def written(folder: Path, models: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "models.toml").write_text(models)
    return folder


async def start(folder: Path, models: str = MODELS, **more: str) -> asyncio.subprocess.Process:
    environment = {
        "VBATCH_HOME": str(folder / "home"),
        "VBATCH_POSTGRES_URL": "postgresql://nobody@127.0.0.1:1/none",
        "VBATCH_PARENT_DEATH": "1",
        **more,
    }
    command = (sys.executable, "-m", "vbatch.gateway")
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, cwd=written(folder, models), stderr=pipe
    )


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ('[[model]]\nid = "org/m"\n', "model 'org/m': a vllm model needs exactly one of package, hub or folder"),
        ('[[model]]\nid = "org/m"\nspeed = 1\n', "unknown field `speed`"),
        ("[[model]\n", "bad model file models.toml"),
    ],
)
async def test_a_bad_model_file_is_named_and_ends_the_process_with_two(tmp_path: Path, models: str, words: str):
    process = await start(tmp_path, models)
    _, complaint = await process.communicate()

    assert process.returncode == 2
    assert words in complaint.decode()


async def test_it_becomes_ready_and_stops_when_asked(place: Place, journal: Journal):
    port = free_port()
    environment = {
        "VBATCH_NATS_URL": place.nats_url,
        "VBATCH_POSTGRES_URL": place.postgres_url,
        "VBATCH_GATEWAY_PORT": str(port),
    }
    async with results_running(place, journal), aiohttp.ClientSession() as session:
        process = await start(place.home.parent, **environment)

        async def is_ready() -> bool:
            async with session.get(f"http://127.0.0.1:{port}/ready") as response:
                return response.status == 200

        await eventually(is_ready)
        process.send_signal(signal.SIGTERM)
        _, log = await process.communicate()

    assert process.returncode == 0
    assert '"event": "service_stopped"' in log.decode()
    assert "Traceback" not in log.decode()
