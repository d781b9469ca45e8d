"""The growing JSONL files in one folder, written at known offsets and synced before anything refers to them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from vbatch.chassis.files import LockHeld, hold_lock, sync_folder
from vbatch.contracts.ids import BatchId
from vbatch.contracts.read_model import partial_results_path
from vbatch.results.core.projection import Growth
from vbatch.results.flows.serving import LOCK_NAME
from vbatch.results.ports import Placed, ReadModelMismatch, Trouble

BLOCK_BYTES = 1 << 20


class FolderOfPartials:
    """One file for each batch. Its only writer holds the folder's lock."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = ""

    def enter(self, folder: str) -> None:
        self._folder = folder
        with _named_trouble(self._root / folder):
            (self._root / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
            sync_folder(self._root)

    def cut(self, lengths: Mapping[BatchId, int]) -> None:
        for batch_id, length in lengths.items():
            path = self._path(batch_id)
            if length > 0 or path.exists():
                with _opened(path, os.O_RDWR | os.O_CREAT) as number:
                    _cut(number, path, length)

    def append(self, growth: Mapping[BatchId, Growth]) -> None:
        has_new_file = False
        for batch_id, added in growth.items():
            path = self._path(batch_id)
            with _opened(path, os.O_RDWR | os.O_CREAT) as number:
                _cut(number, path, added.start)
                _write_at(number, b"".join(added.lines), added.start)
                os.fsync(number)
            has_new_file = has_new_file or added.start == 0
        if has_new_file:
            sync_folder(self._root / self._folder)

    def read(self, batch_id: BatchId, places: Sequence[Placed]) -> list[bytes]:
        path = self._path(batch_id)
        with _opened(path, os.O_RDONLY) as number:
            lines = [os.pread(number, place.length, place.start) for place in places]
        if any(len(line) != place.length for line, place in zip(lines, places, strict=True)):
            raise Trouble(f"{path} is shorter than the read model says: put it back, or run `vbatch rebuild --switch`")
        return lines

    def blocks(self, batch_id: BatchId, length: int) -> Iterator[bytes]:
        path = self._path(batch_id)
        if not path.exists():
            return
        with _opened(path, os.O_RDONLY) as number:
            for start in range(0, length, BLOCK_BYTES):
                yield os.pread(number, min(BLOCK_BYTES, length - start), start)

    def remove(self, batch_id: BatchId) -> None:
        _remove(self._path(batch_id))

    def remove_copies(self, batch_id: BatchId) -> bool:
        with _named_trouble(self._root):
            folders = [path for path in (self._root, *self._root.iterdir()) if path.is_dir()]
        others = [folder for folder in folders if folder != self._root / self._folder]
        return all([self._is_removed(batch_id, folder) for folder in others])

    def _is_removed(self, batch_id: BatchId, folder: Path) -> bool:
        path = folder / partial_results_path(batch_id)
        if not path.exists():
            return True
        if folder == self._root:  # the service itself holds the root's lock
            _remove(path)
            return True
        try:
            with _named_trouble(folder), hold_lock(folder / LOCK_NAME):
                _remove(path)
        except LockHeld:
            return False
        return True

    def _path(self, batch_id: BatchId) -> Path:
        return self._root / partial_results_path(batch_id, self._folder)


def _cut(number: int, path: Path, length: int) -> None:
    size = os.fstat(number).st_size
    if size < length:
        raise ReadModelMismatch(
            f"{path} has {size} bytes where the read model counts {length}: put the file back, or run "
            "`vbatch rebuild --switch`"
        )
    if size > length:
        os.ftruncate(number, length)


def _remove(path: Path) -> None:
    with _named_trouble(path):
        if path.exists():
            path.unlink()
            sync_folder(path.parent)


def _write_at(number: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(number, rest, offset)
        rest, offset = rest[written:], offset + written


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    with _named_trouble(path):
        number = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            yield number
        finally:
            os.close(number)


@contextmanager
def _named_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Trouble(f"{path}: {error.strerror or error}") from error
