"""An erasure that is struck at each of its steps ends, and a rebuild after it is equal.

Run by `./taskw test:chaos`, like known_failures.py.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.chaos.places import Places
from tests.chaos.running import EARLY_ARCHIVES
from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.e2e.test_backup import is_archived
from tests.support.stack import RunningStack, running_stack, wait_until
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
DONE = 20
SECONDS_MAX = 60.0
STAND_IN = set(b'"-')


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
    done = own_stack.vbatch("rebuild", "--verify")
    assert "equal to the log" in done.stdout, done.stdout + done.stderr


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
