"""backup and restore: copies everything that cannot be made again into a folder or bucket, and back to an empty
machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress as Bar, TextColumn, TransferSpeedColumn

from vbatch.chassis import logs
from vbatch.chassis.blobs import Blobs, BlobTrouble, open_blobs
from vbatch.chassis.files import LockHeld, hold_lock
from vbatch.cli.exits import CommandError, Misused, Unreachable
from vbatch.cli.options import AsJson, err, local_settings, out, print_json, run
from vbatch.contracts.event_text import amount, size
from vbatch.journal.port import Rejected, Unavailable
from vbatch.local import backups
from vbatch.local.backups import BackupTrouble, Manifest, Progress
from vbatch.local.backups.manifest import STAMP
from vbatch.local.backups.restoring import SETTINGS_FOLDER
from vbatch.local.backups.taking import KEPT_COUNT

LOCK_NAME = ".backup.lock"
NAME_CHARS_SHOWN = 40

Target = Annotated[str, typer.Argument(metavar="FOLDER|URL", help="A folder, or s3://BUCKET/PREFIX and the like.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="MOMENT", help="The backup of this moment, as `backup` printed it.")
]
Keep = Annotated[int, typer.Option("--keep", min=1, help="How many backups stay; older ones are removed.")]
Check = Annotated[bool, typer.Option("--check", help="Take none: read the newest one there and compare every byte.")]


def backup(
    target: Target, keep: Keep = KEPT_COUNT, check: Check = False, at: At = None, as_json: AsJson = False
) -> None:
    """Back up the log, the files, keys and settings while the server runs. The backup holds keys and answers: protect
    it."""
    logs.configure("backup", "warning")

    async def ask() -> Manifest:
        if at is not None and not check:
            raise Misused("--at names a backup to --check or to restore; a new one is of now.")
        with _opened(target) as store, _bar("checking" if check else "backing up") as bar:
            if check:
                return await backups.check(store.blobs, at, bar.advance)
            with store.alone():
                return await backups.back_up(local_settings(), store.blobs, bar.advance, kept=keep)

    manifest = run(ask())
    _print(manifest, "Checked" if check else "Backed up", as_json=as_json)


def restore(source: Target, at: At = None, as_json: AsJson = False) -> None:
    """Restore a backup into an empty VBATCH_HOME. Then `vbatch up` continues where the backup ended."""
    logs.configure("restore", "warning")
    settings = local_settings()

    async def ask() -> Manifest:
        with _opened(source) as store, _bar("restoring") as bar:
            return await backups.restore(settings, store.blobs, at, bar.advance)

    manifest = run(ask())
    _print(manifest, "Restored", as_json=as_json)
    if not as_json:
        saved = sorted(path.name for path in (settings.home / SETTINGS_FOLDER).glob("*"))
        if saved:
            out.print(f"Settings of then: {settings.home / SETTINGS_FOLDER} ({', '.join(saved)})", markup=False)
        out.print("Start it with `vbatch up`; results makes the read model again at its first start.", markup=False)


@dataclass(frozen=True)
class _Store:
    blobs: Blobs
    folder: Path | None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Allow only one backup at a time to write into a folder. A bucket cannot be locked."""
        with ExitStack() as stack:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                stack.enter_context(hold_lock(self.folder / LOCK_NAME))
            yield


@contextmanager
def _opened(target: str) -> Iterator[_Store]:
    """Open the store behind a folder or URL. Library errors become ones that people can read."""
    folder = None if "://" in target else Path(target).expanduser().absolute()
    url = target if folder is None else folder.as_uri()
    try:
        yield _Store(open_blobs(url), folder)
    except Unavailable as error:
        raise Unreachable(f"The log cannot be reached ({error}). Start the stack with `vbatch up`.") from error
    except (BlobTrouble, BackupTrouble, Rejected) as error:
        raise CommandError(f"{error}.") from error
    except LockHeld as error:
        raise CommandError(f"Another backup writes into {target}: {error}.") from error


class _Advance:
    def __init__(self, bar: Bar, what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=None, file="")

    def advance(self, progress: Progress) -> None:
        name = progress.what[-NAME_CHARS_SHOWN:]
        self._bar.update(self._task, completed=progress.done, total=progress.total, file=name)


@contextmanager
def _bar(what: str) -> Iterator[_Advance]:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Bar(*columns, TextColumn("{task.fields[file]}"), console=err, disable=not err.is_terminal) as bar:
        yield _Advance(bar, what)


def _print(manifest: Manifest, verb: str, *, as_json: bool) -> None:
    stamp = manifest.made_at.strftime(STAMP)
    if as_json:
        counts = {"files": len(manifest.files), "bytes": manifest.bytes}
        print_json(msgspec.json.encode({"moment": stamp, "sequence": manifest.sequence, **counts}))
        return
    files = amount(len(manifest.files), "file")
    out.print(f"{verb} {stamp}: {files}, {size(manifest.bytes)}, the log up to event {manifest.sequence:,}.")
