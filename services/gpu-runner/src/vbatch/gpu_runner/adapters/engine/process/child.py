"""A program under a guard: it has its own log, is stopped with all its children, and never outlives the runner."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vbatch.chassis.settings import STACK_VARIABLE
from vbatch.gpu_runner.adapters.engine.process import guard
from vbatch.gpu_runner.adapters.engine.process.sweep import sweep_record
from vbatch.gpu_runner.core.command import EngineCommand
from vbatch.gpu_runner.core.environment import inherited
from vbatch.gpu_runner.core.failure_cause import cause_in

LAST_WORDS_BYTES = 4_000
SEARCHED_BYTES = 256_000
"""How much of the log's end is searched: later tracebacks may follow the line that names the cause."""
STOP_MARGIN_SECONDS = 2.0
"""A guard needs at most this long beyond its grace period, unless the kernel holds a process."""


@dataclass(frozen=True, slots=True)
class ProcessPaths:
    """The paths of one child: its log, its record of pids and its sockets; and the time it gets to end."""

    log: Path
    record: Path
    grace_seconds: float
    sockets: Path | None = None


class Child:
    """The guard's process and the pipe that it watches."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: int, process_paths: ProcessPaths) -> None:
        self._process = process
        self._pipe: int | None = pipe
        self._desk = process_paths

    @classmethod
    async def start(
        cls, command: EngineCommand, process_paths: ProcessPaths, *, stdin: int = asyncio.subprocess.DEVNULL
    ) -> Child:
        """Start the program under a guard. `stdin` is a descriptor for the program; the caller closes its own end."""
        for folder in (process_paths.log.parent, process_paths.record.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        readable, writable = os.pipe()
        try:
            with _fresh_log(process_paths.log) as log:
                process = await _start_guard(command, process_paths, readable, log, stdin)
        except BaseException:
            os.close(writable)
            raise
        finally:
            os.close(readable)
        return cls(process, writable, process_paths)

    @property
    def pid(self) -> int:
        """The pid of the guard."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Return the program's exit code, or 128 + the signal that killed it, once none of its processes is left."""
        return await self._process.wait()

    async def stop(self) -> None:
        """End the program and everything it started, within its grace period and a margin. Raises NotSwept."""
        self._ask_to_stop()
        try:
            async with asyncio.timeout(self._desk.grace_seconds + STOP_MARGIN_SECONDS):
                await self._process.wait()
        except TimeoutError:
            return  # the kernel holds a process; the guard waits for it
        finally:
            self._close_pipe()
        await asyncio.to_thread(sweep_record, self._desk.record)  # a record is left only if the guard was killed

    def last_words(self) -> str:
        """Return the cause of the end, if the log names one, and the end of the log."""
        log = self._log_end()
        words, cause = log[-LAST_WORDS_BYTES:].strip(), cause_in(log)
        return words if words.startswith(cause) else f"{cause}\n{words}"

    def _log_end(self) -> str:
        with self._desk.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - SEARCHED_BYTES))
            return file.read().decode(errors="replace")

    def _ask_to_stop(self) -> None:
        if self._pipe is not None and self.is_running:
            try:
                os.write(self._pipe, b"s")
            except BrokenPipeError:
                return  # it has just ended by itself

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


async def _start_guard(
    command: EngineCommand, process_paths: ProcessPaths, pipe: int, log: int, stdin: int
) -> asyncio.subprocess.Process:
    script = Path(guard.__file__)
    words = (
        str(pipe),
        str(process_paths.record),
        str(process_paths.sockets or ""),
        str(process_paths.grace_seconds),
        *command.arguments,
    )
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(script), *words),
        stdin=stdin,
        stdout=log,
        stderr=log,
        env={**inherited(os.environ, command.environment, {STACK_VARIABLE}), **command.environment},
        pass_fds=(pipe,),
        start_new_session=True,
    )


@contextmanager
def _fresh_log(path: Path) -> Iterator[int]:
    """Open a new log for this start; the previous log is kept beside it."""
    if path.exists():
        path.replace(path.with_suffix(path.suffix + ".1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
