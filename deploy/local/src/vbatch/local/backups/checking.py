"""Reads a whole backup and compares it with its manifest, without a server."""

from __future__ import annotations

from vbatch.chassis.blobs import Blobs
from vbatch.local.backups.copying import must_hold
from vbatch.local.backups.manifest import Manifest, OnProgress, Progress, chosen


async def check(store: Blobs, stamp: str | None, on_progress: OnProgress = lambda progress: None) -> Manifest:
    """Read every file of the backup of this moment, or of the newest one. Raises BackupTrouble at the first bad
    file."""
    manifest = await chosen(store, stamp)
    done = 0
    for file in manifest.files:
        await must_hold(store, file)
        done += file.bytes
        on_progress(Progress(file.name, done, manifest.bytes))
    return manifest
