"""Restores a backup on an empty machine: blobs, keys and settings as files, the log through a server of its own.

Data that can be derived from these is not in a backup: results builds PostgreSQL and the growing files again at its
first start.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from vbatch.chassis.blobs import Blobs, open_blobs
from vbatch.chassis.files import write_atomically
from vbatch.journal.jetstream import JetStreamJournal, connect
from vbatch.journal.jetstream.snapshot import SnapshotHead
from vbatch.local import log_access, nats, nats_users
from vbatch.local.backups.copying import checked_pieces
from vbatch.local.backups.manifest import (
    BackupTrouble,
    Manifest,
    OnProgress,
    Part,
    Progress,
    SavedFile,
    chosen,
)
from vbatch.local.settings import LocalSettings

STATE_FOLDERS = ("blobs", "nats", "postgres", "results", "secrets")
SETTINGS_FOLDER = "settings"
FILE_BYTES_MAX = 16 << 20
"""The limit of one key or settings file."""
SERVER_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0


async def restore(
    settings: LocalSettings, store: Blobs, stamp: str | None, on_progress: OnProgress = lambda progress: None
) -> Manifest:
    """Restore the backup of this moment, or the newest one, into an empty home. Each byte is checked on its way.

    Raises BackupTrouble, BlobTrouble, Unavailable, Rejected. A failed restore leaves a home that must be removed.
    """
    must_be_empty(settings.home)
    manifest = await chosen(store, stamp)
    restoring = _Restoring(settings, store, manifest, on_progress)
    await restoring.files()
    await restoring.log()
    return manifest


def must_be_empty(home: Path) -> None:
    """Check the home. Raises BackupTrouble if it holds the state of a server."""
    held = [name for name in STATE_FOLDERS if (home / name).is_dir() and any((home / name).iterdir())]
    if held:
        raise BackupTrouble(
            f"{home} already holds {', '.join(held)}: nothing was restored. Stop the stack and move the folder away, "
            "or set VBATCH_HOME to another one"
        )


class _Restoring:
    def __init__(self, settings: LocalSettings, store: Blobs, manifest: Manifest, on_progress: OnProgress) -> None:
        self._settings = settings
        self._store = store
        self._manifest = manifest
        self._on_progress = on_progress
        self._done = 0
        self._stores = {Part.BLOBS: open_blobs(settings.blob_url), Part.ARCHIVES: open_blobs(settings.archives_url)}
        self._folders = {Part.SECRETS: settings.home / "secrets", Part.SETTINGS: settings.home / SETTINGS_FOLDER}

    async def files(self) -> None:
        """Restore everything except the log."""
        self._settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in self._manifest.files:
            part, _, name = file.name.partition("/")
            if part in self._stores:
                await self._blob(self._stores[Part(part)], name, file)
            elif part in self._folders:
                await self._file(self._folders[Part(part)] / name, file)

    async def log(self) -> None:
        """Restore the streams through the server that will serve them. No service runs yet."""
        async with self._served() as journal:
            for stream in self._manifest.streams:
                file = next(each for each in self._manifest.files if each.name == stream.file)
                head = SnapshotHead(stream.config, stream.state)
                await journal.restore(stream.name, head, self._told(file))
            sequence = await journal.log.last_sequence()
        if sequence != self._manifest.sequence:
            raise BackupTrouble(f"the restored log ends at {sequence}, the backup's at {self._manifest.sequence}")

    async def _blob(self, store: Blobs, name: str, file: SavedFile) -> None:
        async with store.writer(name) as writer:
            async for piece in self._told(file):
                await writer.write(piece)

    async def _file(self, path: Path, file: SavedFile) -> None:
        if file.bytes > FILE_BYTES_MAX:
            raise BackupTrouble(f"{file.name} has {file.bytes} bytes: no key or settings file has so many")
        content = b"".join([piece async for piece in self._told(file)])
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, content, mode=0o600)

    async def _told(self, file: SavedFile) -> AsyncIterator[bytes]:
        async for piece in checked_pieces(self._store, file):
            self._done += len(piece)
            self._on_progress(Progress(file.name, self._done, self._manifest.bytes))
            yield piece

    @asynccontextmanager
    async def _served(self) -> AsyncIterator[JetStreamJournal]:
        """Yield the log's server: one of your own, or this stack's, started for the restore alone."""
        wanted = replace(log_access.log_settings(self._settings, "restore"), connect_seconds=SERVER_SECONDS_MAX)
        if self._settings.has_own_nats:
            async with connect(wanted) as journal:
                yield journal
            return
        with _Server(self._settings):
            async with connect(wanted) as journal:
                yield journal


class _Server:
    """nats-server on the home's own store and ports. It ends with the block."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings

    def __enter__(self) -> None:
        home, settings = self._settings.home, self._settings
        for folder in ("run", "logs", "nats"):
            (home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._config()
        command = nats.command(config, home / "nats", settings.nats_monitor_port)
        log = (home / "logs" / "nats.log").open("ab")
        with log:
            self._process = subprocess.Popen(command.argv, env=os.environ | dict(command.env), stdout=log, stderr=log)

    def _config(self) -> Path:
        """Write the configuration of NATS and return its path."""
        home, settings = self._settings.home, self._settings
        keys = log_access.keys_folder(home)
        nats_users.provide_keys(keys)
        config = home / "run" / "nats.conf"
        rendered = nats.render(home / "nats", settings.nats_port, settings.nats_monitor_port)
        write_atomically(config, (rendered + nats_users.render(keys)).encode())
        return config

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS_MAX)
