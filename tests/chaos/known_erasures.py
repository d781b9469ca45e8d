"""An erasure that is struck at each of its steps, and a backup that is taken while everything dies.

Run by `./taskw test:chaos`, like known_failures.py.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.chaos.places import Places
from tests.chaos.running import EARLY_ARCHIVES
from tests.e2e.asking import chat_line, ended, jsonl, submit, wait_for_progress
from tests.e2e.test_backup import is_archived, lines_until
from tests.support.stack import SLOW_CHAT, RunningStack, kill, running_stack, wait_until
from vbatch.chassis.blobs import open_blobs
from vbatch.chassis.failpoints import FOLDER_VARIABLE, Failpoint
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.subjects import archived, chunks_of
from vbatch.journal.archive import HistoricLog
from vbatch.journal.jetstream import connect
from vbatch.local.log_access import log_settings
from vbatch.results.flows.archiving import read_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STEPS = (Failpoint.ARCHIVE_STORED, Failpoint.ARCHIVE_CHECKED, Failpoint.ARCHIVE_RECORDED)
DONE, SLOW = 20, 2_000
BEGUN_AT = 100
SECONDS_MAX = 60.0
BACKUPS_MAX = 20
STAND_IN = set(b'"-')
VICTIMS = ("results", "nats", "scheduler", "gpu-runner")


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[RunningStack]:
    """A stack to strike at its places and to lose."""
    patient = {"VBATCH_LOCAL_READY_SECONDS_MAX": "120"}
    with running_stack(environment=EARLY_ARCHIVES | patient | {FOLDER_VARIABLE: str(tmp_path)}) as running:
        yield running


@pytest.fixture
def own_client(own_stack: RunningStack) -> Iterator[OpenAI]:
    with own_stack.client() as made:
        yield made


def test_an_erasure_that_is_struck_at_any_of_its_steps_ends(
    own_stack: RunningStack, own_client: OpenAI, tmp_path: Path
):
    places = Places(tmp_path)
    for place in STEPS:
        batch = ended(own_client, submit(own_client, jsonl(map(chat_line, range(DONE)))).id).batch
        wait_until(lambda batch=batch: is_archived(own_stack, batch.id), "it is archived", SECONDS_MAX)  # type: ignore[misc]
        with places.armed(place, signal.SIGKILL):
            assert batch.output_file_id is not None
            own_client.files.delete(batch.output_file_id)
            assert places.hit(place, SECONDS_MAX) is not None, f"nobody came to {place}"
        wait_until(lambda batch=batch: is_erased(own_stack, batch.id), f"it is erased after {place}", SECONDS_MAX)  # type: ignore[misc]


def test_a_backup_that_is_taken_while_everything_dies_comes_back_elsewhere(
    own_stack: RunningStack, own_client: OpenAI, tmp_path: Path
):
    slow = submit(own_client, jsonl(chat_line(number, SLOW_CHAT) for number in range(SLOW))).id
    wait_for_progress(own_client, slow, BEGUN_AT)
    target = str(tmp_path / "backup")
    for number in range(BACKUPS_MAX):
        kill(own_stack.process(VICTIMS[number % len(VICTIMS)]))
        taken = own_stack.vbatch("backup", target, "--json")
        assert "Traceback" not in taken.stderr
        if taken.returncode == 0:
            break
    assert taken.returncode == 0, taken.stdout + taken.stderr
    sequence = json.loads(taken.stdout)["sequence"]
    own_stack.wait_until_ready()
    before = lines_until(own_stack, slow, sequence)

    own_stack.stack.down()
    for path in own_stack.home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for command in (("restore", target), ("up",)):
        if command == ("up",):
            shutil.copy(own_stack.home / "settings" / "models.toml", own_stack.home / "models.toml")
        done = own_stack.vbatch(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(ended(own_client, slow).custom_ids) == SLOW
    after = lines_until(own_stack, slow)
    assert [line for line in before if after.count(line) > 1] == [], "an answer in the backup was asked for again"


def is_erased(stack: RunningStack, batch_id: str) -> bool:
    """Whether one archive of the batch is left, and no answer in its history is what the engine said."""

    async def ask() -> bool:
        async with connect(log_settings(stack.settings, "test")) as journal:
            told = await journal.log.last(archived(BatchId(batch_id)))
            event = codec.decode(told) if told is not None else None
            if not isinstance(event, e.BatchArchived) or "output" not in event.erased:
                return False
            log = HistoricLog(journal.log, open_blobs(stack.settings.archives_url))
            lists = read_until(log, (chunks_of(BatchId(batch_id)),), 0)
            events = [codec.decode(record) async for records in lists for record in records]
            bodies = [bytes(each.body) for event in events for each in getattr(event, "outcomes", ())]
            return all(set(body) <= STAND_IN for body in bodies)

    left = list((stack.home / "blobs" / "archives").glob(f"{batch_id}_*"))
    return len(left) == 1 and asyncio.run(ask())
