"""What a backup consists of: its files with their digests, and the log at one sequence. docs/operations.md shows it.

A manifest is written last, so one that exists names only complete files. A folder or bucket holds many backups: they
share the blobs, and each has its own snapshot of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec

from vbatch.chassis.blobs import Blobs

FORMAT = "vbatch-backup"
VERSION = 1
MANIFESTS = "manifests"
MANIFEST_BYTES_MAX = 1 << 30
STAMP = "%Y%m%dT%H%M%S%fZ"


class Part(StrEnum):
    """The folders of a backup."""

    LOG = "log"
    BLOBS = "blobs"
    ARCHIVES = "archives"
    SECRETS = "secrets"
    SETTINGS = "settings"


class BackupTrouble(Exception):
    """The backup cannot be taken, trusted or restored. The text says why and what to do."""


class SavedFile(msgspec.Struct, frozen=True):
    """A file of a backup. `name` is its place in the backup, and begins with its part."""

    name: str
    bytes: int
    sha256: str


class SavedStream(msgspec.Struct, frozen=True):
    """A snapshot of a stream: its file, and what its server reported about it."""

    name: str
    file: str
    config: msgspec.Raw
    state: msgspec.Raw


class Manifest(msgspec.Struct, frozen=True):
    """`sequence` is the last event of the log in this backup."""

    made_at: datetime
    sequence: int
    streams: tuple[SavedStream, ...]
    files: tuple[SavedFile, ...]
    format: str = FORMAT
    version: int = VERSION

    @property
    def name(self) -> str:
        return f"{MANIFESTS}/{self.made_at.strftime(STAMP)}.json"

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


class Progress(NamedTuple):
    """How far a command is. `total` grows while it is still being found out; `copied` is the number of bytes really
    written."""

    what: str
    done: int
    total: int
    copied: int = 0


OnProgress = Callable[[Progress], None]
_manifests = msgspec.json.Decoder(Manifest)


async def manifests(store: Blobs) -> list[str]:
    """Return the names of all manifests, oldest first."""
    return sorted(await store.older_than(-1, MANIFESTS))


async def load(store: Blobs, name: str) -> Manifest:
    """Return a manifest. Raises BackupTrouble."""
    content = b"".join([piece async for piece in store.read_stream(name, end=MANIFEST_BYTES_MAX)])
    try:
        manifest = _manifests.decode(content)
    except msgspec.DecodeError as error:
        raise BackupTrouble(f"{name} is no manifest of a backup: {error}") from error
    if (manifest.format, manifest.version) != (FORMAT, VERSION):
        raise BackupTrouble(f"{name} is {manifest.format} version {manifest.version}; this program reads {VERSION}")
    return manifest


async def newest(store: Blobs) -> Manifest | None:
    names = await manifests(store)
    return await load(store, names[-1]) if names else None


async def chosen(store: Blobs, stamp: str | None) -> Manifest:
    """Return the manifest of this moment, or the newest one. Raises BackupTrouble."""
    names = await manifests(store)
    wanted = names[-1:] if stamp is None else [name for name in names if name == f"{MANIFESTS}/{stamp}.json"]
    if not wanted:
        known = ", ".join(name.removeprefix(f"{MANIFESTS}/").removesuffix(".json") for name in names[-10:])
        raise BackupTrouble(f"there is no such backup; there are: {known or 'none'}")
    return await load(store, wanted[0])
