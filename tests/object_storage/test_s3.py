"""The whole stack with its files, archives and backups on S3, whose server is killed between and during the steps."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import openai
import pytest
from openai import OpenAI

from tests.e2e.asking import chat_line, ended, jsonl, submit
from tests.e2e.test_backup import is_archived, succeeded
from tests.support.object_store import ObjectStore, object_store
from tests.support.stack import SLOW_CHAT, RunningStack, running_stack, wait_until
from vbatch.chassis.blobs import Blobs, BlobTrouble, open_blobs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

FILES, ARCHIVES, BACKUPS = "s3://vbatch/files", "s3://vbatch-archives", "s3://vbatch-backups/here"
DONE, SLOW = 40, 800
AWAY_SECONDS = 2.0
BLOB_BYTES = 20_000_000
KILLED_AT_PIECE = 12


@dataclass(frozen=True)
class Site:
    """A stack and the object store that it keeps everything in."""

    stack: RunningStack
    store: ObjectStore

    @contextmanager
    def store_away(self) -> Iterator[None]:
        """Within the block there is no object store; it was killed."""
        self.store.kill()
        try:
            yield
        finally:
            self.store.start()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running, _set(running.environment):
        for url in (FILES, ARCHIVES, BACKUPS):
            running.make_bucket(urlsplit(url).netloc)
        yield running


@pytest.fixture(scope="module")
def site(store: ObjectStore) -> Iterator[Site]:
    places = {"VBATCH_BLOB_URL": FILES, "VBATCH_ARCHIVE_URL": ARCHIVES}
    early = {"VBATCH_RESULTS_ARCHIVE_GRACE_SECONDS": "0", "VBATCH_RESULTS_SWEEP_SECONDS": "0.5"}
    patient = {"VBATCH_LOCAL_READY_SECONDS_MAX": "120"}
    with running_stack(environment=places | early | patient | store.environment) as running:
        yield Site(running, store)


@pytest.fixture
def client(site: Site) -> Iterator[OpenAI]:
    """It keeps trying while the store is back, and the stack not yet whole."""
    with site.stack.client() as made:
        yield made


@contextmanager
def _set(variables: dict[str, str]) -> Iterator[None]:
    """Also for this process, which opens the same stores."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


async def test_a_blob_is_whole_or_not_there_when_the_server_dies_under_it(store: ObjectStore):
    blobs, piece = open_blobs(FILES), os.urandom(1_000_000)
    with suppress(BlobTrouble):
        async with blobs.writer("probe/torn") as writer:
            for number in range(BLOB_BYTES // len(piece)):
                await writer.write(piece)
                if number == KILLED_AT_PIECE:
                    store.kill()
    await asyncio.to_thread(store.start)
    if await blobs.exists("probe/torn"):
        assert await blobs.size("probe/torn") == BLOB_BYTES
    await put(blobs, "probe/torn", piece)
    assert b"".join([part async for part in blobs.read_stream("probe/torn")]) == piece
    await blobs.delete("probe/torn")
    assert await blobs.older_than(-1, "probe") == []


async def put(blobs: Blobs, name: str, content: bytes) -> None:
    async with blobs.writer(name) as writer:
        await writer.write(content)


def test_an_upload_is_refused_while_the_store_is_away_and_works_after_it(site: Site, client: OpenAI):
    started = time.monotonic()
    with site.store_away():
        with pytest.raises(openai.APIStatusError) as refusal:
            client.with_options(max_retries=0).files.create(file=("in.jsonl", jsonl([chat_line(1)])), purpose="batch")
    assert refusal.value.status_code == 503
    assert time.monotonic() - started < 60
    assert ended(client, submit(client, jsonl([chat_line(1)])).id).output != []


def test_the_store_dies_while_a_batch_runs_ends_is_archived_and_made_again(site: Site, client: OpenAI):
    batch = submit(client, jsonl(chat_line(number, SLOW_CHAT) for number in range(SLOW)))
    wait_until(lambda: _completed(client, batch.id) > 50, "some answers", 60)
    with site.store_away():
        time.sleep(AWAY_SECONDS)
    finished = ended(client, batch.id)
    assert sorted(finished.custom_ids) == sorted(f"request-{number}" for number in range(SLOW))
    with site.store_away():
        time.sleep(AWAY_SECONDS)
    wait_until(lambda: is_archived(site.stack, batch.id), "it is archived", 120)
    assert "equal to the log" in succeeded(site.stack, "rebuild", "--verify")


def test_a_backup_on_object_storage_comes_back_on_an_empty_machine(site: Site, client: OpenAI):
    done = ended(client, submit(client, jsonl(chat_line(number) for number in range(DONE))).id)
    wait_until(lambda: is_archived(site.stack, done.batch.id), "it is archived", 60)
    with site.store_away():
        failed = site.stack.vbatch("backup", BACKUPS)
        assert (failed.returncode, "Traceback" in failed.stderr) == (1, False), failed.stdout + failed.stderr
    taken = json.loads(succeeded(site.stack, "backup", BACKUPS, "--json"))
    succeeded(site.stack, "backup", "--check", BACKUPS)

    site.stack.stack.down()
    asyncio.run(_lose(site))
    restored = json.loads(succeeded(site.stack, "restore", BACKUPS, "--json"))
    assert restored["sequence"] == taken["sequence"]
    shutil.copy(site.stack.home / "settings" / "models.toml", site.stack.home / "models.toml")
    succeeded(site.stack, "up")
    assert ended(client, done.batch.id) == done
    assert "equal to the log" in succeeded(site.stack, "rebuild", "--verify")


async def _lose(site: Site) -> None:
    """The machine's folder, and every file and archive."""
    for path in site.stack.home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for url, folders in ((FILES, ("files", "parts", "outputs", "answers")), (ARCHIVES, ("archives",))):
        blobs = open_blobs(url)
        for folder in folders:
            for name in await blobs.older_than(-1, folder, is_deep=True):
                await blobs.delete(name)


def _completed(client: OpenAI, batch_id: str) -> int:
    counts = client.batches.retrieve(batch_id).request_counts
    return counts.completed if counts else 0
