"""Takes a backup while the server works.

Every event names only bytes that were stored before it. So the blobs are copied first, then the log is taken at one
sequence, then the blobs that were added meanwhile: everything that the log in the backup names is in the backup. Only
an archive may be replaced between the two, by one without erased answers; then the log is taken again. PostgreSQL and
the growing files follow from these and are not part of it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from vbatch.chassis.blobs import BlobMissing, Blobs, open_blobs
from vbatch.chassis.settings import CONFIG_VARIABLE, file_table
from vbatch.contracts.answers import ANSWERS
from vbatch.contracts.ids import BatchId
from vbatch.contracts.subjects import BATCHES_ARCHIVED
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.jetstream.snapshot import last_sequence_of
from vbatch.local.backups.copying import PIECE_BYTES, Copier
from vbatch.local.backups.manifest import (
    STAMP,
    BackupTrouble,
    Manifest,
    OnProgress,
    Part,
    SavedStream,
    load,
    manifests,
    newest,
)
from vbatch.local.log_access import log_settings
from vbatch.local.settings import LocalSettings
from vbatch.results.core.archive import ARCHIVES
from vbatch.results.flows.archiving import archive_told, read_until

BLOB_FOLDERS = ("files", "parts", "outputs", ANSWERS, ARCHIVES)
STREAMS = ("EVT", "DEAD")
"""WORK is not one of them: the scheduler creates its orders again from EVT."""
MODELS_VARIABLE = "VBATCH_GATEWAY_MODELS_FILE"
RETENTION_VARIABLE = "VBATCH_RESULTS_RETENTION_FILE"
CONFIG_NAME, MODELS_NAME, RETENTION_NAME = "vbatch.toml", "models.toml", "retention.toml"
KEPT_COUNT = 7
SNAPSHOT_TRIES = 3


async def back_up(
    settings: LocalSettings, target: Blobs, on_progress: OnProgress = lambda progress: None, *, kept: int = KEPT_COUNT
) -> Manifest:
    """Take a backup, then remove all but the newest `kept`. An interrupted backup is continued by the next one.

    Raises BackupTrouble, BlobTrouble, Unavailable, Rejected.
    """
    before = await newest(target)
    known = {file.name: file for file in before.files} if before else {}
    taking = _Taking(settings, Copier(target, known, on_progress), datetime.now(UTC))
    manifest = await taking.run()
    async with target.writer(manifest.name) as writer:
        await writer.write(msgspec.json.encode(manifest))
    if await load(target, manifest.name) != manifest:
        raise BackupTrouble(f"{manifest.name} is not read back as it was written")
    await prune(target, kept)
    return manifest


async def prune(target: Blobs, kept: int) -> None:
    """Remove all backups except the newest `kept`, and every file that none of these names."""
    names = await manifests(target)
    for name in names[:-kept]:
        await target.delete(name)
    wanted = {file.name for name in names[-kept:] for file in (await load(target, name)).files}
    for part in Part:
        for name in await target.older_than(-1, part, is_deep=True):
            if name not in wanted:
                await target.delete(name)


@dataclass(frozen=True)
class _Taking:
    settings: LocalSettings
    copier: Copier
    made_at: datetime

    async def run(self) -> Manifest:
        await self._copy_stores()
        async with connect(log_settings(self.settings, "backup")) as journal:
            sequence, streams = await self._log(journal)
        await self._copy_files()
        files = tuple(sorted(self.copier.files.values(), key=lambda file: file.name))
        return Manifest(self.made_at, sequence, streams, files)

    async def _log(self, journal: JetStreamJournal) -> tuple[int, tuple[SavedStream, ...]]:
        """Return the log at one sequence, and with it every blob that it names. Raises BackupTrouble."""
        for _ in range(SNAPSHOT_TRIES):
            streams = [await self._stream(journal, name) for name in STREAMS]
            sequence = streams[0][1]
            await self._copy_stores()
            if not (missing := await self._missing_archives(journal, sequence)):
                return sequence, tuple(stream for stream, _ in streams)
        raise BackupTrouble(f"archives that the log names are not in their store: {', '.join(sorted(missing)[:3])}")

    async def _missing_archives(self, journal: JetStreamJournal, sequence: int) -> set[str]:
        """Return the archives that the log names up to this sequence and that are not in this backup."""
        told: dict[BatchId, str] = {}
        async for records in read_until(journal.log, (BATCHES_ARCHIVED,), 0, sequence):
            for record in records:
                if (event := archive_told(record)) is not None:
                    told[event.batch_id] = event.blob
        part = Part.BLOBS if self.settings.archives_url == self.settings.blob_url else Part.ARCHIVES
        return {blob for blob in told.values() if f"{part}/{blob}" not in self.copier.files}

    async def _copy_stores(self) -> None:
        await self._copy_store(Part.BLOBS, self.settings.blob_url, BLOB_FOLDERS)
        if self.settings.archives_url != self.settings.blob_url:
            await self._copy_store(Part.ARCHIVES, self.settings.archives_url, (ARCHIVES,))

    async def _copy_store(self, part: Part, url: str, folders: tuple[str, ...]) -> None:
        """Copy everything that is not in this backup yet. Blobs that are deleted meanwhile are left out."""
        store = open_blobs(url)
        sizes = await self._missing(part, store, folders)
        self.copier.expect(sum(sizes.values()))
        for name, size in sizes.items():
            try:
                await self.copier.keep(f"{part}/{name}", store.read_stream(name, chunk_bytes=PIECE_BYTES), size)
            except BlobMissing:
                continue

    async def _missing(self, part: Part, store: Blobs, folders: tuple[str, ...]) -> dict[str, int]:
        """Return the sizes of the blobs that are not in this backup yet, by name."""
        sizes: dict[str, int] = {}
        for folder in folders:
            for name in await store.older_than(-1, folder, is_deep=True):
                if f"{part}/{name}" not in self.copier.files and (size := await _size(store, name)) is not None:
                    sizes[name] = size
        return sizes

    async def _stream(self, journal: JetStreamJournal, name: str) -> tuple[SavedStream, int]:
        snapshot = journal.snapshot(name)
        file = await self.copier.write(f"{Part.LOG}/{self.made_at.strftime(STAMP)}/{name}", snapshot.pieces())
        if snapshot.head is None:
            raise BackupTrouble(f"the server sent no snapshot of {name}")
        head = snapshot.head
        return SavedStream(name, file.name, head.config, head.state), last_sequence_of(head)

    async def _copy_files(self) -> None:
        """Copy keys and settings. They are small, and a changed one may have the same size as before."""
        secrets = self.settings.home / "secrets"
        for path in sorted(path for path in secrets.rglob("*") if path.is_file() and not path.name.startswith(".")):
            await self._copy_file(f"{Part.SECRETS}/{path.relative_to(secrets)}", path)
        for name, wanted in _settings_files().items():
            if wanted.is_file():
                await self._copy_file(f"{Part.SETTINGS}/{name}", wanted)

    async def _copy_file(self, name: str, path: Path) -> None:
        await self.copier.write(name, _content(path))


def _settings_files() -> dict[str, Path]:
    models = os.environ.get(MODELS_VARIABLE) or file_table("gateway").get("models_file", MODELS_NAME)
    config = os.environ.get(CONFIG_VARIABLE)
    retention = os.environ.get(RETENTION_VARIABLE) or file_table("results").get("retention_file", RETENTION_NAME)
    return {MODELS_NAME: Path(models), RETENTION_NAME: Path(retention)} | (
        {CONFIG_NAME: Path(config)} if config else {}
    )


async def _content(path: Path) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)


async def _size(store: Blobs, name: str) -> int | None:
    try:
        return await store.size(name)
    except BlobMissing:
        return None
