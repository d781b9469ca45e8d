"""What must hold when a campaign is over: in the log itself, and in every file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from openai import OpenAI

from tests.chaos.history import Entry
from tests.chaos.workload import Kind, Promise
from tests.e2e.asking import Ended, Line, ended
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, RunnerId, SliceId

END_SECONDS_MAX = 30.0
SIMULATED = "[simulated]"
TERMINAL = (e.BatchCompleted, e.BatchCancelled, e.BatchExpired, e.BatchRejected)

Place = tuple[BatchId, int]
"""A batch and a line of it."""


@dataclass
class Reading:
    """The log of a campaign, folded for its own sake and not by the code under test."""

    violations: list[str] = field(default_factory=list)
    answered_at: dict[Place, float] = field(default_factory=dict)
    repeated_outcomes: int = 0
    dispatched_twice: int = 0
    cancelled_first: set[BatchId] = field(default_factory=set)
    losses: list[float] = field(default_factory=list)
    """When an engine or a runner was lost with what it held."""
    counted: set[BatchId] = field(default_factory=set)
    """Validated before anything ended it: from then on every line has to come back."""
    terminal: dict[BatchId, e.Event] = field(default_factory=dict)
    _epochs: dict[RunnerId, int] = field(default_factory=dict)
    """Of the lives that go on."""
    _counting_over: set[BatchId] = field(default_factory=set)
    _owed: dict[SliceId, set[Place]] = field(default_factory=lambda: defaultdict(set))
    _slices: dict[SliceId, e.BatchDispatched] = field(default_factory=dict)

    def fold(self, entries: Iterable[Entry]) -> Reading:
        for entry in entries:
            self._fold(entry)
        return self

    def _fold(self, entry: Entry) -> None:
        match entry.event:
            case e.BatchDispatched():
                self._dispatch(entry.event)
            case e.ChunkOutline():
                self._count(entry.event, entry.recorded_at.timestamp())
            case e.SliceReturned():
                self._owed[entry.event.slice_id] -= {(entry.event.batch_id, line) for line in entry.event.lines}
            case e.RunnerLeased() | e.RunnerStopped() | e.RunnerLost():
                self._owed.clear()
                self.losses.append(entry.recorded_at.timestamp())
                self._epochs[entry.event.runner_id] = entry.sequence if isinstance(entry.event, e.RunnerLeased) else 0
            case e.EngineCrashed():
                self.losses.append(entry.recorded_at.timestamp())
            case e.BatchCancelRequested(batch_id=batch_id) if batch_id not in self._counting_over:
                self.cancelled_first.add(batch_id)
            case e.BatchValidated(batch_id=batch_id) if batch_id not in self.cancelled_first:
                self.counted.add(batch_id)
            case e.BatchFinalizing():
                self._finalize(entry.event)
        if isinstance(entry.event, TERMINAL):
            self._end(entry.event)

    def _dispatch(self, event: e.BatchDispatched) -> None:
        places = {(event.batch_id, line) for line in event.lines}
        if event.batch_id in self._counting_over:
            self.violations.append(f"{event.batch_id}: {event.slice_id} was dispatched after the end of counting")
        if again := [line for _, line in places & self.answered_at.keys()]:
            self.violations.append(f"{event.batch_id}: lines {again[:5]} were dispatched after their outcome")
        if held := [line for owed in self._owed.values() for _, line in owed & places]:
            self.violations.append(f"{event.batch_id}: lines {held[:5]} were dispatched to two slices at once")
        self.dispatched_twice += event.attempt > 1
        if event.epoch == self._epochs.get(event.runner_id):  # a life that is over will not hear of it
            self._owed[event.slice_id] = places

    def _count(self, event: e.ChunkOutline, at: float) -> None:
        for outcome in event.outcomes:
            place = (event.batch_id, outcome.line)
            self._owed[event.slice_id].discard(place)
            if place in self.answered_at:
                self.repeated_outcomes += 1
                self.violations.append(f"{event.batch_id}: line {outcome.line} has two outcomes in the log")
            elif event.batch_id not in self._counting_over:
                self.answered_at[place] = at

    def _finalize(self, event: e.BatchFinalizing) -> None:
        if event.batch_id in self._counting_over:
            self.violations.append(f"{event.batch_id}: finalizing twice")
        self._counting_over.add(event.batch_id)
        for owed in self._owed.values():
            owed -= {place for place in owed if place[0] == event.batch_id}

    def _end(self, event: e.Event) -> None:
        batch_id: BatchId = event.batch_id  # type: ignore[attr-defined]  # every terminal event names its batch
        if batch_id in self.terminal:
            self.violations.append(f"{batch_id}: two terminal events, the second {type(event).__name__}")
        self.terminal.setdefault(batch_id, event)


def faults_of_files(client: OpenAI, promise: Promise, reading: Reading) -> list[str]:
    """What is wrong with a batch as its owner sees it."""
    found = ended(client, promise.batch_id, END_SECONDS_MAX)
    status = found.batch.status
    if status not in _statuses(promise, reading):
        return [f"{promise.batch_id}: a {promise.kind} batch ended as {status}"]
    if status == "failed":
        return [] if found.batch.errors else [f"{promise.batch_id}: failed without errors"]
    if status != "completed" and promise.batch_id not in reading.counted and not found.output + found.errors:
        return []  # ended before it was read: there is nothing to count
    return [f"{promise.batch_id} ({promise.kind}, {status}): {fault}" for fault in _faults(promise, found)]


def _statuses(promise: Promise, reading: Reading) -> set[str]:
    if promise.batch_id in reading.cancelled_first:
        return {"cancelled"}
    match promise.kind:
        case Kind.BAD:
            return {"failed"}
        case Kind.EXPIRING:
            return {"completed", "expired"}
        case _:
            return {"completed"}


def _faults(promise: Promise, found: Ended) -> Iterator[str]:
    asked = [line["custom_id"] for line in promise.given]
    place = {custom_id: number for number, custom_id in enumerate(asked)}
    given_back = found.custom_ids + found.failed_ids
    if missing := set(asked) - set(given_back):
        yield f"{len(missing)} of {len(asked)} lines are lost"
    if twice := [custom_id for custom_id, count in Counter(given_back).items() if count > 1]:
        yield f"{len(twice)} lines stand twice, {twice[0]} among them"
    for ids in (found.custom_ids, found.failed_ids):
        if ids != sorted(ids, key=lambda custom_id: place.get(custom_id, -1)):
            yield "a file is not in the order of the input"
    yield from _faulty_counts(found, len(asked))
    yield from _faulty_answers(promise, found)


def _faulty_counts(found: Ended, total: int) -> Iterator[str]:
    counts = found.batch.request_counts
    never_ran = sum(1 for line in found.errors if _code(line) in ("batch_cancelled", "batch_expired"))
    counted = (total, len(found.output), len(found.errors) - never_ran)
    if counts is None or (counts.total, counts.completed, counts.failed) not in (counted, (0, 0, 0)):
        yield f"the counts say {counts}, the files {counted}"


def _faulty_answers(promise: Promise, found: Ended) -> Iterator[str]:
    """A culprit fails alone, and every answer belongs to its own request."""
    failed = {line["custom_id"] for line in found.errors if _code(line) == "engine_crashed"}
    if innocent := failed - promise.poison:
        yield f"{len(innocent)} requests failed for the crash of another, {sorted(innocent)[0]} among them"
    if answered := promise.poison & set(found.custom_ids):
        yield f"a request that kills every engine has an answer: {answered}"
    given = {line["custom_id"]: line["body"] for line in promise.given}
    strangers = [line["custom_id"] for line in found.output if not is_answer_to(given[line["custom_id"]], line)]
    if strangers:
        yield f"{len(strangers)} answers belong to other requests, that of {strangers[0]} among them"


def is_answer_to(body: Line, answer: Line) -> bool:
    """The simulated engine repeats the prompt, up to the limit of tokens, and makes long answers long with x."""
    content: str = answer["response"]["body"]["choices"][0]["message"]["content"]
    if not content.startswith(SIMULATED):
        return True  # a real engine says what it likes
    words = [SIMULATED, *body["messages"][0]["content"].split()][: body["max_tokens"]]
    said = " ".join(words)
    return content.startswith(said) and not content.removeprefix(said).strip("x")


def _code(line: dict[str, object]) -> object:
    error = line.get("error")
    return error.get("code") if isinstance(error, dict) else None
