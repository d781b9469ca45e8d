"""The invariants, each with a name. `Reading` folds the log by rules written here, not by those of the services."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from tests.simulation.stores import BlobStore, PartialStore, Tables
from vbatch.contracts import codec, events as e
from vbatch.contracts.ids import output_file_id
from vbatch.contracts.message import Recorded

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "validating": frozenset({"in_progress", "failed", "cancelling", "finalizing"}),
    "in_progress": frozenset({"finalizing", "cancelling"}),
    "finalizing": frozenset({"completed", "expired"}),
    "cancelling": frozenset({"cancelled"}),
}
"""OpenAI's transitions, written by hand; `validating` to `finalizing` is an expiry before the file was read."""
ENDED = frozenset({"completed", "cancelled", "expired", "failed"})
DRAINED_RULE = "a_drained_runner_gets_nothing"
TERMINAL_EVENTS = (e.BatchCompleted, e.BatchCancelled, e.BatchExpired)


class Violation(Exception):
    """An invariant was broken; `check` names it."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(check, text)  # so that it survives the way from another process
        self.check = check
        self.text = text

    def __str__(self) -> str:
        return f"{self.check}: {self.text}"


@dataclass
class BatchStory:
    """One batch according to its events; `outcomes` are those that count, the first of each line before the end."""

    created: e.BatchCreated
    total: int | None = None
    is_rejected: bool = False
    cancel_at: int | None = None
    is_paused: bool = False
    dispatched_in_pause: int = 0
    finalizing: e.BatchFinalizing | None = None
    finalized_at: int = 0
    sealed: e.BatchSealed | None = None
    outcomes: dict[int, e.Outcome] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)
    """Every line with an outcome in the log, including those that came too late to count."""

    def count(self, chunk: e.ChunkCompleted) -> None:
        for outcome in chunk.outcomes:
            self.answered.add(outcome.line)
            if self.finalizing is None and self.total is not None:
                self.outcomes.setdefault(outcome.line, outcome)


@dataclass
class LiveSlice:
    batch_id: str
    runner_id: str
    owed: set[int]


@dataclass
class Reading:
    """Follows the log as it grows. Raises Violation at the first event that must not exist."""

    records: Sequence[Recorded]
    position: int = 0
    runner_epochs: dict[str, int] = field(default_factory=dict)
    stopped_epochs: set[int] = field(default_factory=set)
    scheduler_epoch: int = 0
    batches: dict[str, BatchStory] = field(default_factory=dict)
    slices: dict[str, LiveSlice] = field(default_factory=dict)
    void_slices: dict[str, str] = field(default_factory=dict)
    """Slices that were decided in a pause or for a drained runner, and the rule that they would break."""
    drained: dict[str, e.DrainGoal] = field(default_factory=dict)
    """Runners that take nothing new, and what they do instead."""
    dispatched_in_drain: Counter[str] = field(default_factory=Counter)
    accounted: dict[str, set[int]] = field(default_factory=dict)
    files: dict[str, e.FileStored] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    """Files."""
    shelved: set[str] = field(default_factory=set)
    """Blobs to which a chunk refers for an answer."""

    def advance(self) -> None:
        for record in self.records[self.position :]:
            self.position = record.sequence
            self._take(record.sequence, codec.decode(record))

    def _take(self, sequence: int, event: e.AnyEvent) -> None:
        match event:
            case e.RunnerLeased() | e.RunnerLost() | e.DrainEvent():
                self._runner(sequence, event)
            case e.SchedulerLeased():
                self.scheduler_epoch = sequence
            case e.ChunkCompleted() | e.SliceReturned():
                self._from_runner(event)
            case (
                e.ModelLoading()
                | e.ModelLoaded()
                | e.ModelFailed()
                | e.EngineCrashed()
                | e.ProfileLowered()
                | e.ProfileTuned()
                | e.RunnerStopped()
            ):
                self._must_be_newest(event.epoch, self.runner_epochs[event.runner_id], event)
                if isinstance(event, e.RunnerStopped):
                    self.stopped_epochs.add(event.epoch)
                    self._forget_slices(runner_id=event.runner_id)
            case e.BatchDispatched():
                self._dispatched(event)
            case e.FileStored():
                self._file(event)
            case e.FileDeleted():
                self.deleted.add(event.file_id)
            case _:
                self._batch(sequence, event)

    def _batch(self, sequence: int, event: e.AnyEvent) -> None:
        match event:
            case e.BatchCreated():
                self.batches.setdefault(event.batch_id, BatchStory(event))
            case e.BatchValidated():
                story = self.batches[event.batch_id]
                if story.cancel_at is None and story.finalizing is None:  # otherwise there is nothing left to count
                    story.total = event.total
            case e.BatchRejected():
                self.batches[event.batch_id].is_rejected = True
            case e.BatchPaused() | e.BatchResumed():
                self._paused_or_resumed(event)
            case e.BatchCancelRequested():
                story = self.batches[event.batch_id]
                story.cancel_at = story.cancel_at or sequence
                story.is_paused = False
            case e.BatchFinalizing():
                self._finalizing(sequence, event)
            case e.BatchSealed():
                story = self.batches[event.batch_id]
                story.sealed = story.sealed or event
            case _:
                return

    def _paused_or_resumed(self, event: e.BatchPaused | e.BatchResumed) -> None:
        story = self.batches[event.batch_id]
        if not (story.is_paused and isinstance(event, e.BatchPaused)):
            story.dispatched_in_pause = 0
        story.is_paused = isinstance(event, e.BatchPaused) and story.cancel_at is None and story.finalizing is None

    def _finalizing(self, sequence: int, event: e.BatchFinalizing) -> None:
        story = self.batches[event.batch_id]
        if story.finalizing is None:
            story.finalizing, story.finalized_at = event, sequence
        story.is_paused = False
        self._forget_slices(batch_id=event.batch_id)

    def _forget_slices(self, *, batch_id: str = "", runner_id: str = "") -> None:
        """Forget the slices of a batch that is over, or of a runner's life that is."""
        for slice_id, it in list(self.slices.items()):
            if it.batch_id == batch_id or it.runner_id == runner_id:
                del self.slices[slice_id]

    def _file(self, event: e.FileStored) -> None:
        first = self.files.setdefault(event.file_id, event)
        if (first.sha256, first.bytes) != (event.sha256, event.bytes):
            raise Violation("sealing_repeats_itself", f"{event.file_id} was stored with two contents")

    def _from_runner(self, event: e.ChunkCompleted | e.SliceReturned) -> None:
        self._must_be_newest(event.epoch, self.runner_epochs[event.runner_id], event)
        if rule := self.void_slices.get(event.slice_id):
            raise Violation(rule, f"{event.slice_id} was decided too late, and ran")
        lines = (
            [outcome.line for outcome in event.outcomes] if isinstance(event, e.ChunkCompleted) else list(event.lines)
        )
        self.accounted.setdefault(event.slice_id, set()).update(lines)
        if (it := self.slices.get(event.slice_id)) is not None:
            it.owed.difference_update(lines)
        if isinstance(event, e.ChunkCompleted):
            self.batches[event.batch_id].count(event)
            self.shelved |= {outcome.body_blob for outcome in event.outcomes if outcome.body_blob}

    def _dispatched(self, event: e.BatchDispatched) -> None:
        self._must_be_newest(int(event.slice_id.split("-")[1]), self.scheduler_epoch, event)
        if event.epoch != self.runner_epochs[event.runner_id] or event.epoch in self.stopped_epochs:
            return  # for a life that is over: no process will receive it
        story, lines = self.batches[event.batch_id], set(event.lines)
        if story.is_paused:
            self._dispatched_in_pause(story, event)
            return
        if event.runner_id in self.drained:
            self._dispatched_in_drain(event)
            return
        if again := lines & story.answered:
            raise Violation("each_line_is_owed_once", f"{event.slice_id} sends {sorted(again)} out again, all answered")
        for slice_id, it in self.slices.items():
            if it.batch_id == event.batch_id and (twice := lines & it.owed):
                raise Violation("each_line_is_owed_once", f"{sorted(twice)} are on {slice_id} and {event.slice_id}")
        self.slices[event.slice_id] = LiveSlice(event.batch_id, event.runner_id, lines)

    def _dispatched_in_pause(self, story: BatchStory, event: e.BatchDispatched) -> None:
        """One dispatch may have been decided before the pause was read; it has no effect."""
        story.dispatched_in_pause += 1
        self.void_slices[event.slice_id] = "a_paused_batch_is_not_dispatched"
        if story.dispatched_in_pause > 1:
            raise Violation("a_paused_batch_is_not_dispatched", f"{event.slice_id} is the second of one pause")

    def _runner(self, sequence: int, event: e.RunnerLeased | e.RunnerLost | e.AnyDrainEvent) -> None:
        if isinstance(event, e.DrainEvent):
            return self._drain(event)
        self.runner_epochs[event.runner_id] = sequence  # from here on the lost or earlier life may write nothing
        self._forget_slices(runner_id=event.runner_id)
        if isinstance(event, e.RunnerLeased) and self.drained.get(event.runner_id) is e.DrainGoal.RESTART:
            del self.drained[event.runner_id]
        return None

    def _drain(self, event: e.AnyDrainEvent) -> None:
        match event:
            case e.RunnerDrainRequested():
                if event.runner_id not in self.drained:
                    self.dispatched_in_drain[event.runner_id] = 0
                self.drained[event.runner_id] = event.goal
            case e.RunnerResumed():
                self.drained.pop(event.runner_id, None)
            case e.RunnerDrained():
                self._must_be_newest(event.epoch, self.runner_epochs[event.runner_id], event)

    def _dispatched_in_drain(self, event: e.BatchDispatched) -> None:
        """One dispatch may have been decided before the drain was read; it has no effect."""
        self.dispatched_in_drain[event.runner_id] += 1
        self.void_slices[event.slice_id] = DRAINED_RULE
        if self.dispatched_in_drain[event.runner_id] > 1:
            raise Violation(DRAINED_RULE, f"{event.slice_id} is the second of one drain of {event.runner_id}")

    @staticmethod
    def _must_be_newest(epoch: int, newest: int, event: e.AnyEvent) -> None:
        if epoch < newest:
            raise Violation("a_zombie_adds_nothing", f"{type(event).__name__} of epoch {epoch} after lease {newest}")


def check_status(before: str | None, after: str) -> None:
    """Check a change of status. One transaction may hold several: the new one must be reachable from the old one."""
    reached = {before or "validating"}
    frontier = set(reached)
    while frontier:
        frontier = {to for status in frontier for to in TRANSITIONS.get(status, ())} - reached
        reached |= frontier
    if after not in reached:
        raise Violation("status_moves_along_the_arcs", f"{before} became {after}")


@dataclass(frozen=True)
class InputLine:
    line: int
    custom_id: str


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw


class _OutputLine(msgspec.Struct):
    custom_id: str
    response: _Response | None
    error: e.RequestError | None


_OUTPUT = msgspec.json.Decoder(_OutputLine)


@dataclass(frozen=True)
class Stores:
    tables: Tables
    partials: PartialStore
    blobs: BlobStore


def check_files(
    story: BatchStory, inputs: Sequence[InputLine], stores: Stores, said: Mapping[str, list[tuple[int, bytes]]]
) -> int:
    """Return how many lines are in the files of an ended batch that has not failed; they must agree with the log."""
    row = stores.tables.batches[story.created.batch_id]
    output = _sealed_lines(story, stores, "output")
    error = _sealed_lines(story, stores, "error")
    if story.total is None:
        if output or error:
            raise Violation("files_are_whole", f"{row.id} has lines, but its file was never found fit")
        return 0
    _check_whole(row.id, inputs, output, error)
    _check_outcomes(story, inputs, output + error, said)
    expected = (len(inputs), len(output), sum(1 for outcome in story.outcomes.values() if not outcome.is_success))
    if (row.total, row.completed, row.failed) != expected:
        found = (row.total, row.completed, row.failed)
        raise Violation("outcomes_stand", f"{row.id} counts {found}, the log says {expected}")
    return len(inputs)


def _sealed_lines(story: BatchStory, stores: Stores, kind: str) -> list[_OutputLine]:
    if story.sealed is None:
        return []
    row = stores.tables.batches[story.created.batch_id]
    file_id = row.output_file_id if kind == "output" else row.error_file_id
    if file_id is None:
        return []
    derived = output_file_id(story.created.batch_id, "output" if kind == "output" else "error")
    if file_id != derived or file_id not in stores.tables.files:
        raise Violation("files_are_whole", f"{row.id} names {file_id} as its {kind} file")
    file = stores.tables.files[file_id]
    content = stores.blobs.get(file.blob, b"")
    if hashlib.sha256(content).hexdigest() != file.sha256 or len(content) != file.bytes:
        raise Violation("files_are_whole", f"{file.blob} is not what its event says")
    return [_OUTPUT.decode(line) for line in content.splitlines()]


def _check_whole(
    batch_id: str, inputs: Sequence[InputLine], output: list[_OutputLine], error: list[_OutputLine]
) -> None:
    wanted = [input_.custom_id for input_ in inputs]
    place = {custom_id: number for number, custom_id in enumerate(wanted)}
    found = [line.custom_id for line in (*output, *error)]
    if sorted(found) != sorted(wanted):
        raise Violation("files_are_whole", f"{batch_id}: {len(found)} lines for {len(wanted)} requests, or others")
    for lines in (output, error):
        places = [place[line.custom_id] for line in lines]
        if places != sorted(places):
            raise Violation("files_are_whole", f"{batch_id}: not in input order")


def _check_outcomes(
    story: BatchStory,
    inputs: Sequence[InputLine],
    lines: list[_OutputLine],
    said: Mapping[str, list[tuple[int, bytes]]],
) -> None:
    """Check that every line is the first outcome in the log, or never ran, and that the bytes are the engine's."""
    by_custom_id = {line.custom_id: line for line in lines}
    for request in inputs:
        found, outcome = by_custom_id[request.custom_id], story.outcomes.get(request.line)
        if (found.error and found.error.code) != _error_code(story, outcome):
            raise Violation("outcomes_stand", f"{request.custom_id} says {found.error}")
        if found.response is None:
            continue
        if outcome is None or found.response.status_code != outcome.status_code:
            raise Violation("outcomes_stand", f"{request.custom_id} has an answer that the log has not")
        body = bytes(found.response.body)
        is_own = any(msgspec.json.decode(body) == _decoded(answer[1]) for answer in said.get(request.custom_id, ()))
        if found.response.status_code < 400 and not is_own:
            raise Violation("answers_stay_untouched", f"{request.custom_id}: no engine ever said {body!r}")
        if outcome.body_blob is None and msgspec.json.decode(outcome.body) != msgspec.json.decode(body):
            raise Violation("outcomes_stand", f"{request.custom_id} has another answer than the log")


def _error_code(story: BatchStory, outcome: e.Outcome | None) -> str | None:
    if outcome is not None:
        return outcome.error.code if outcome.error else None
    is_expired = isinstance(story.sealed, e.BatchExpired)
    return "batch_expired" if is_expired else "batch_cancelled"


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None


def check_answers(reading: Reading, blobs: BlobStore) -> None:
    """After a last sweep, every answer that an event refers to must exist, and only running lives may have others."""
    if missing := reading.shelved - blobs.keys():
        raise Violation("no_answer_is_orphaned", f"{sorted(missing)} are gone, and events refer to them")
    living = {str(epoch) for epoch in reading.runner_epochs.values()}
    left = {name for name in blobs if name.startswith("answers/") and not _is_mark(name)} - reading.shelved
    if strays := {name for name in left if name.split("/")[1] not in living}:
        raise Violation("no_answer_is_orphaned", f"no event refers to {sorted(strays)}")


def _is_mark(name: str) -> bool:
    """Whether it is an empty blob by which results remembers what it has swept."""
    return name.startswith("answers/removed/") or name.endswith("/swept")


def check_equal(live: Stores, rebuilt: Stores) -> None:
    """Compare with a read model rebuilt from the log, row by row and byte by byte."""
    for table in ("batches", "files", "deleted_at", "models", "runners", "outcomes", "sequence"):
        ours, theirs = getattr(live.tables, table), getattr(rebuilt.tables, table)
        if ours != theirs:
            raise Violation("a_rebuild_is_equal", f"the table {table} differs")
    for batch_id, row in live.tables.batches.items():
        length = row.partial_bytes
        if live.partials.get(batch_id, b"")[:length] != rebuilt.partials.get(batch_id, b"")[:length]:
            raise Violation("a_rebuild_is_equal", f"the lines of {batch_id} differ")
