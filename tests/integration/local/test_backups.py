"""A backup is whole or is none, copies only what is new, and comes back as it was on an empty machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.support.events import SAMPLES
from tests.support.journal import event
from tests.support.nats import NatsServer, nats_server, small_journal
from vbatch.chassis.blobs import Blobs, open_blobs
from vbatch.contracts import codec, events as e
from vbatch.journal.jetstream import connect
from vbatch.journal.jetstream.journal import JetStreamJournal
from vbatch.local.backups import BackupTrouble, Progress, back_up, check, restore
from vbatch.local.backups.manifest import STAMP, manifests
from vbatch.local.settings import LocalSettings

pytestmark = pytest.mark.integration

INPUT, ARCHIVE = "files/file-1", "archives/batch_1.jsonl.zst"
CONTENTS = {INPUT: b"a question\n" * 400_000, ARCHIVE: b"answers" * 1000}


@dataclass
class Machine:
    """A server's home with a log, and where its backups go."""

    home: Path
    server: NatsServer
    journal: JetStreamJournal
    target: Blobs

    @property
    def settings(self) -> LocalSettings:
        return LocalSettings(home=self.home, nats_url=self.server.url)

    @property
    def blobs(self) -> Blobs:
        return open_blobs(self.settings.blob_url)

    async def put(self, name: str, content: bytes) -> None:
        async with self.blobs.writer(name) as writer:
            await writer.write(content)


@pytest.fixture
async def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    (tmp_path / "models.toml").write_text("# the models")
    monkeypatch.setenv("VBATCH_GATEWAY_MODELS_FILE", str(tmp_path / "models.toml"))
    home = tmp_path / "home"
    (home / "secrets" / "nats").mkdir(parents=True)
    (home / "secrets" / "nats" / "operator.nk").write_text("a key")
    async with nats_server() as server, connect(small_journal(server.url)) as journal:
        await journal.topology()
        made = Machine(home, server, journal, open_blobs((tmp_path / "backups").as_uri()))
        for name, content in CONTENTS.items():
            await made.put(name, content)
        for number in range(5):
            await journal.log.append(event(f"e{number}"))
        yield made


async def restored(machine: Machine, home: Path, stamp: str | None = None) -> list[str]:
    """The ids of the events after a restore onto another server."""
    async with nats_server() as empty, connect(small_journal(empty.url)) as journal:
        manifest = await restore(LocalSettings(home=home, nats_url=empty.url), machine.target, stamp)
        async with journal.log.tail(0) as tail:
            records = await anext(tail)
        assert records[-1].sequence == manifest.sequence
        return [record.message_id for record in records]


async def test_everything_comes_back(machine: Machine, tmp_path: Path):
    manifest = await back_up(machine.settings, machine.target)
    assert (manifest.sequence, await check(machine.target, None)) == (5, manifest)
    home = tmp_path / "new"
    assert await restored(machine, home) == [f"e{number}" for number in range(5)]
    for name, content in CONTENTS.items():
        assert (home / "blobs" / name).read_bytes() == content
    key = home / "secrets" / "nats" / "operator.nk"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("a key", 0o600)
    assert (home / "settings" / "models.toml").read_text() == "# the models"


async def test_the_next_backup_copies_only_what_is_new(machine: Machine):
    await back_up(machine.settings, machine.target)
    await machine.put("files/file-2", b"more")
    seen: list[Progress] = []
    manifest = await back_up(machine.settings, machine.target, seen.append)
    assert {file.name for file in manifest.files} >= {f"blobs/{name}" for name in (*CONTENTS, "files/file-2")}
    assert seen[-1].copied < len(CONTENTS[INPUT]) / 10


async def test_an_interrupted_backup_is_none_and_the_next_one_is_whole(machine: Machine):
    def interrupt(progress: Progress) -> None:
        if progress.what.startswith("log/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await back_up(machine.settings, machine.target, interrupt)
    assert await manifests(machine.target) == []
    with pytest.raises(BackupTrouble):
        await check(machine.target, None)
    manifest = await back_up(machine.settings, machine.target)
    assert await check(machine.target, None) == manifest


async def test_a_backup_of_a_moment_stays_as_it_was_while_later_ones_follow(machine: Machine, tmp_path: Path):
    first = await back_up(machine.settings, machine.target)
    await machine.journal.log.append(event("later"))
    await machine.blobs.delete(INPUT)
    await back_up(machine.settings, machine.target)
    stamp = first.made_at.strftime(STAMP)
    assert "later" not in await restored(machine, tmp_path / "then", stamp)
    assert (tmp_path / "then" / "blobs" / INPUT).read_bytes() == CONTENTS[INPUT]
    assert "later" in await restored(machine, tmp_path / "now")


async def test_what_no_kept_backup_names_is_removed(machine: Machine):
    await back_up(machine.settings, machine.target)
    await machine.blobs.delete(INPUT)
    manifest = await back_up(machine.settings, machine.target, kept=1)
    assert await manifests(machine.target) == [manifest.name]
    left = [*await machine.target.older_than(-1, "blobs", is_deep=True)]
    left += await machine.target.older_than(-1, "log", is_deep=True)
    assert sorted(left) == [file.name for file in manifest.files if file.name.startswith(("blobs/", "log/"))]


async def test_an_archive_that_is_replaced_meanwhile_is_in_the_backup_as_its_log_names_it(machine: Machine):
    older, newer = archive_told(ARCHIVE, 1), archive_told("archives/batch_1_2_output.jsonl.zst", 2)
    await machine.journal.log.append(codec.encode(older, source="results"))
    (machine.home / "blobs" / ARCHIVE).unlink()  # it was written and replaced between the two copies of the blobs
    telling: list[asyncio.Task[int]] = []

    async def tell() -> int:
        await machine.put(newer.blob, b"without the answers")
        return await machine.journal.log.append(codec.encode(newer, source="results"))

    def replace(progress: Progress) -> None:
        if progress.what.startswith("log/") and not telling:
            telling.append(asyncio.create_task(tell()))

    manifest = await back_up(machine.settings, machine.target, replace)
    assert manifest.sequence == await telling[0]
    assert f"blobs/{newer.blob}" in {file.name for file in manifest.files}


async def test_an_archive_that_is_lost_is_told_and_no_backup_is_made(machine: Machine):
    await machine.journal.log.append(codec.encode(archive_told(ARCHIVE, 1), source="results"))
    (machine.home / "blobs" / ARCHIVE).unlink()
    with pytest.raises(BackupTrouble, match="batch_1"):
        await back_up(machine.settings, machine.target)
    assert await manifests(machine.target) == []


def archive_told(blob: str, number: int) -> e.BatchArchived:
    sample = next(event for event in SAMPLES if isinstance(event, e.BatchArchived))
    return msgspec.structs.replace(sample, blob=blob, sha256=f"{number:064x}")


@pytest.mark.parametrize("part", ["blobs/archives", "log", "secrets"])
async def test_a_damaged_backup_is_found_and_not_restored(machine: Machine, tmp_path: Path, part: str):
    manifest = await back_up(machine.settings, machine.target)
    file = next(file for file in manifest.files if file.name.startswith(part))
    path = tmp_path / "backups" / file.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackupTrouble, match="damaged"):
        await check(machine.target, None)
    with pytest.raises(BackupTrouble, match="damaged"):
        await restored(machine, tmp_path / "new")


async def test_a_home_that_holds_something_is_left_alone(machine: Machine):
    await back_up(machine.settings, machine.target)
    with pytest.raises(BackupTrouble, match="already holds blobs, secrets"):
        await restore(machine.settings, machine.target, None)
