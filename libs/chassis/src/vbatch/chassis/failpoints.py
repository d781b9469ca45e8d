"""Named places where a process can be killed or stopped on purpose, to measure the cost of a crash exactly there.

Off unless VBATCH_FAILPOINTS names a folder. There, PLACE.reached says that a process reached the place. A campaign puts
PLACE.armed there, which holds KILL, TERM or STOP: the first process at the place renames it to PLACE.PID.hit and sends
itself that signal.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from functools import cache
from pathlib import Path

FOLDER_VARIABLE = "VBATCH_FAILPOINTS"


class Failpoint(StrEnum):
    """The value is PROCESS.place. Each place is between two steps that a crash must be able to separate."""

    BLOB_STORED = "gateway.blob_stored"  # before file.stored
    FILE_RECORDED = "gateway.file_recorded"  # before the client gets the answer
    BATCH_RECORDED = "gateway.batch_recorded"  # before the client gets the answer
    CANCEL_RECORDED = "gateway.cancel_recorded"  # before the client gets the answer

    SCHEDULER_LEASED = "scheduler.leased"  # before it has caught up
    FILE_CHECKED = "scheduler.file_checked"  # before batch.validated or batch.rejected
    DECISION_RECORDED = "scheduler.decision_recorded"  # before it is read back: dispatched, validated, finalizing
    ORDER_DUE = "scheduler.order_due"  # after batch.dispatched, before the order is on the queue
    ORDER_PUT = "scheduler.order_put"  # before this process notes that it did so

    RUNNER_LEASED = "gpu-runner.leased"  # before the first order
    ORDER_TAKEN = "gpu-runner.order_taken"  # before any of its requests runs
    ENGINE_STARTED = "gpu-runner.engine_started"  # before runner.model_loaded
    ENGINE_LOST = "gpu-runner.engine_lost"  # before its lines are returned
    ANSWERED = "gpu-runner.answered"  # before the answer is in a chunk
    ANSWER_SHELVED = "gpu-runner.answer_shelved"  # a large answer is in its blob, before its chunk
    CHUNK_PUBLISHED = "gpu-runner.chunk_published"  # before the log confirms it
    ORDER_STORED = "gpu-runner.order_stored"  # all of its lines are in the log, before it leaves the queue

    RESULTS_LEASED = "results.leased"  # before it owns its folder and has caught up
    LINES_WRITTEN = "results.lines_written"  # in the growing file, before the rows
    ROWS_COPIED = "results.rows_copied"  # before the commit
    ROWS_COMMITTED = "results.rows_committed"  # before the rest of the process is told
    OUTPUT_SEALED = "results.output_sealed"  # before file.stored
    OUTPUT_RECORDED = "results.output_recorded"  # one file.stored, before the next or the end of the batch
    END_RECORDED = "results.end_recorded"  # before this process notes that it did so
    VERDICTS_READ = "results.verdicts_read"  # of a judge batch, before their judgements
    VERDICTS_RECORDED = "results.verdicts_recorded"  # before this process looks for the next ones

    ARCHIVE_STORED = "results.archive_stored"  # before it is read back
    ARCHIVE_CHECKED = "results.archive_checked"  # before batch.archived
    ARCHIVE_RECORDED = "results.archive_recorded"  # before the chunks leave the log
    CHUNKS_PURGED = "results.chunks_purged"  # before this process notes that it did so

    NOTIFIER_LEASED = "notifier.leased"  # before it has read the log
    DELIVERY_QUEUED = "notifier.delivery_queued"  # before the first try
    DELIVERY_POSTED = "notifier.delivery_posted"  # the endpoint has it, the log does not have it yet
    DELIVERY_RECORDED = "notifier.delivery_recorded"  # before this process notes that it did so

    LABELER_LEASED = "labeler.leased"  # before it has read the log
    PROJECT_CREATED = "labeler.project_created"  # Label Studio has it, the log does not have it yet
    TASKS_IMPORTED = "labeler.tasks_imported"  # Label Studio has them, the log does not have them yet
    JUDGEMENT_FETCHED = "labeler.judgement_fetched"  # before its event

    REBUILD_LEASED = "rebuild.leased"  # in the place of results, before the names are exchanged
    REBUILD_SERVED = "rebuild.served"  # before the replaced read model is removed

    @property
    def process(self) -> str:
        """The program that reaches the place. `rebuild` is the command of that name."""
        return self.partition(".")[0]


def reached(place: Failpoint) -> None:
    """Mark the place as reached. With failpoints on it may not return; with failpoints off it costs almost nothing."""
    if (control := _control()) is not None:
        control.reached(place)


def control_folder() -> Path | None:
    """Return the folder through which a campaign controls this process; None in normal use."""
    name = os.environ.get(FOLDER_VARIABLE)
    return Path(name) if name else None


class _Control:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[Failpoint] = set()

    def reached(self, place: Failpoint) -> None:
        if place not in self._seen:
            self._seen.add(place)
            (self._folder / f"{place}.reached").touch()
        taken = self._folder / f"{place}.{os.getpid()}.hit"
        try:
            (self._folder / f"{place}.armed").rename(taken)  # if several processes try, one succeeds
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.Signals[f"SIG{taken.read_text()}"])


@cache
def _control() -> _Control | None:
    folder = control_folder()
    return _Control(folder) if folder else None
