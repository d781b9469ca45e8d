"""The paths of one runner: its engines' logs, their records of pids, and the slots that hold their sockets."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vbatch.gpu_runner.adapters.engine.process.child import ProcessPaths
from vbatch.gpu_runner.ports import EngineFailed

SOCKET_PATH_BYTES_MAX = 107
"""The kernel's limit (unix(7))."""
SLOT_PATH_BYTES_MAX = 50
"""Room for the names inside a slot: vLLM names its sockets by UUIDs."""


@dataclass(frozen=True, slots=True)
class RunnerPaths:
    """The folders and programs of one runner."""

    home: Path
    runner_id: str
    engine_python: Path
    prepare_script: Path

    @property
    def run_folder(self) -> Path:
        return self.home / "run" / self.runner_id

    def process_paths(self, name: str, grace_seconds: float, sockets: Path | None = None) -> ProcessPaths:
        log = self.home / "logs" / f"{name}-{self.runner_id}.log"
        return ProcessPaths(log, self.run_folder / f"{name}.pids", grace_seconds, sockets)

    def folder(self, name: str) -> str:
        """Return the path of a model folder: absolute, below the user's home (~), or below our home folder."""
        return str(self.home / Path(name).expanduser())

    def socket(self, slot: int) -> Path:
        """Return the socket's path in the folder of its slot, which also holds every other socket that the engine
        opens."""
        return self._slots / f"engine-{slot}" / "engine.sock"

    def clear_slot(self, slot: int) -> None:
        """Empty the slot. Raises EngineFailed if the folder belongs to another user, who could answer in the engine's
        place."""
        self._slots.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._slots.is_symlink() or self._slots.stat().st_uid != os.getuid():
            raise EngineFailed(f"{self._slots} belongs to someone else: remove it, or use a shorter home folder")
        folder = self.socket(slot).parent
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)

    def remove_slot(self, slot: int) -> None:
        """Remove all sockets of an engine that has ended, however it ended."""
        shutil.rmtree(self.socket(slot).parent, ignore_errors=True)
        self._remove_empty()

    def remove_slots(self) -> None:
        """Remove the slots of earlier processes of this runner."""
        for folder in self._slots.glob("engine-*/"):
            shutil.rmtree(folder, ignore_errors=True)
        self._remove_empty()

    @property
    def _slots(self) -> Path:
        """Below the home folder, or in a short temporary folder if socket paths would become too long there."""
        if len(bytes(self.run_folder)) <= SOCKET_PATH_BYTES_MAX - SLOT_PATH_BYTES_MAX:
            return self.run_folder
        name = hashlib.sha256(bytes(self.run_folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"vbatch-{name}"

    def _remove_empty(self) -> None:
        if self._slots != self.run_folder and self._slots.is_dir() and not any(self._slots.iterdir()):
            self._slots.rmdir()
