"""The drill of docs/operations.md: back up a server at work, lose the machine's folder, restore, verify."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.asking import Ended, chat_line, ended, jsonl, submit
from tests.e2e.test_live_events import events_in_pieces
from tests.support.stack import SLOW_CHAT, RunningStack, running_stack, wait_until
from vbatch.chassis.blobs import open_blobs
from vbatch.client import AsyncClient, LiveEvent
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import BatchId
from vbatch.contracts.subjects import archived, chunks_of
from vbatch.journal.archive import HistoricLog
from vbatch.journal.jetstream import connect
from vbatch.local.log_access import log_settings
from vbatch.results.flows.archiving import read_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DONE, SLOW = 30, 1500
ANSWERED_BEFORE = 100


@pytest.fixture(scope="module")
def own_stack() -> Iterator[RunningStack]:
    """A stack to lose, whose ended batches move to archives at once."""
    early = {"VBATCH_RESULTS_ARCHIVE_GRACE_SECONDS": "0", "VBATCH_RESULTS_SWEEP_SECONDS": "0.2"}
    with running_stack(environment=early) as running:
        yield running


def test_a_batch_that_lies_in_an_archive_is_read_like_any_other(own_stack: RunningStack):
    batch_id = archived_batch(own_stack).batch.id
    whole, in_pieces = (streamed(own_stack, batch_id, piece=piece) for piece in (1_000_000, 1))
    assert [event.name for event in whole].count("batch.chunk_completed") > 0
    assert in_pieces == whole
    printed = [json.loads(line) for line in succeeded(own_stack, "events", "--batch", batch_id, "--json").splitlines()]
    assert [each["sequence"] for each in printed[:-1]] == [event.id for event in whole]
    (blob,) = (own_stack.home / "blobs" / "archives").glob(f"{batch_id}_*.jsonl.zst")
    from_file = succeeded(own_stack, "events", "--archive", str(blob), "--json").splitlines()
    assert [json.loads(line) for line in from_file] == printed[:-1]
    assert "slice" in succeeded(own_stack, "trace", batch_id)


def test_a_home_that_holds_something_is_left_alone(own_stack: RunningStack, tmp_path: Path):
    refused = own_stack.vbatch("restore", str(tmp_path))
    assert (refused.returncode, "already holds" in refused.stderr) == (1, True), refused.stderr


def test_the_drill(own_stack: RunningStack, tmp_path: Path):
    target, client = str(tmp_path / "backup"), own_stack.client()
    done = archived_batch(own_stack)
    slow = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(SLOW))).id
    wait_until(lambda: answered(own_stack, slow) >= ANSWERED_BEFORE, "some answers of the slow batch", 60)

    taken = json.loads(succeeded(own_stack, "backup", target, "--json"))
    lines_before = lines_until(own_stack, slow, taken["sequence"])
    assert len(lines_before) >= ANSWERED_BEFORE
    again = json.loads(succeeded(own_stack, "backup", target, "--json"))
    assert again["sequence"] >= taken["sequence"]
    succeeded(own_stack, "backup", "--check", "--at", taken["moment"], target)

    own_stack.stack.down()
    lose(own_stack.home)
    restored = json.loads(succeeded(own_stack, "restore", "--at", taken["moment"], target, "--json"))
    assert restored["sequence"] == taken["sequence"]
    shutil.copy(own_stack.home / "settings" / "models.toml", own_stack.home / "models.toml")
    succeeded(own_stack, "up")

    finished = ended(client, slow)
    assert sorted(finished.custom_ids) == sorted(f"request-{number}" for number in range(SLOW))
    after = Counter(lines_until(own_stack, slow))
    assert {line: after[line] for line in lines_before} == dict.fromkeys(lines_before, 1), "asked again"
    assert ended(client, done.batch.id) == done
    assert "equal to the log" in succeeded(own_stack, "rebuild", "--verify")


def archived_batch(stack: RunningStack) -> Ended:
    """A batch that has ended and left the log."""
    client = stack.client()
    done = ended(client, submit(client, jsonl(chat_line(number) for number in range(DONE))).id)
    wait_until(lambda: is_archived(stack, done.batch.id), "the ended batch is in its archive", 30)
    return done


def streamed(stack: RunningStack, batch_id: str, *, piece: int) -> list[LiveEvent]:
    """Its events as the gateway streams them, taken up again after every `piece` of them."""

    async def ask() -> list[LiveEvent]:
        async with AsyncClient(stack.url) as server:
            return await events_in_pieces(server, batch_id, piece=piece)

    return asyncio.run(ask())


def succeeded(stack: RunningStack, *arguments: str) -> str:
    done = stack.vbatch(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lose(home: Path) -> None:
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_archived(stack: RunningStack, batch_id: str) -> bool:
    async def ask() -> bool:
        async with connect(log_settings(stack.settings, "test")) as journal:
            told = await journal.log.last(archived(BatchId(batch_id)))
            return told is not None and await journal.log.last(chunks_of(BatchId(batch_id))) is None

    return asyncio.run(ask())


def answered(stack: RunningStack, batch_id: str) -> int:
    counts = stack.client().batches.retrieve(batch_id).request_counts
    return counts.completed if counts else 0


def lines_until(stack: RunningStack, batch_id: str, sequence: int | None = None) -> list[int]:
    """The lines that have an answer in the history, as often as they have one."""

    async def ask() -> list[int]:
        async with connect(log_settings(stack.settings, "test")) as journal:
            log = HistoricLog(journal.log, open_blobs(stack.settings.archives_url))
            lists = read_until(log, (chunks_of(BatchId(batch_id)),), 0, sequence)
            events = [codec.decode(record) async for records in lists for record in records]
            chunks = [event for event in events if isinstance(event, e.ChunkCompleted)]
            return [outcome.line for chunk in chunks for outcome in chunk.outcomes]

    return asyncio.run(ask())
