"""Planted bugs, put into the product for one seed. Each must be caught by one of the checks it names."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from tests.simulation.patching import all_replaced
from tests.simulation.stores import TwinReadModel
from vbatch.contracts import events as e, lifecycle, lines
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Message, Recorded
from vbatch.contracts.subjects import chunks_of
from vbatch.gpu_runner.flows.intake import Intake
from vbatch.journal.memory import MemoryStream
from vbatch.journal.port import Delivery, Guard, Rejected
from vbatch.journal.quarantine import Quarantine
from vbatch.results.core.archive import Archive, archive_blob
from vbatch.results.core.projection import Changes, State
from vbatch.results.flows import archiving
from vbatch.results.flows.answer_sweeping import AnswerSweep
from vbatch.results.flows.archive_files import ArchiveFiles
from vbatch.results.flows.archiving import Archiver
from vbatch.results.flows.output_sweeping import OutputSweep
from vbatch.scheduler.core.state import state as scheduling
from vbatch.scheduler.core.state.draining import Drains
from vbatch.scheduler.core.state.pending_batch import PendingBatch, Waiting
from vbatch.scheduler.flows.scheduling import Scheduler


@dataclass(frozen=True)
class Mutation:
    """`caught_by` names the checks that may catch it, `within` the number of seeds (from 1) that must suffice."""

    says: str
    places: tuple[tuple[object, str, Any], ...]
    caught_by: frozenset[str]
    within: int

    def planted(self) -> AbstractContextManager[None]:
        return all_replaced(*self.places)


# the fence is removed: the log ignores every guard

_append_all = MemoryStream.append_all


def _unguarded(stream: MemoryStream, message: Message, guard: Guard | None = None) -> int:
    return _append_all(stream, [message], None)


# an order is settled when it is taken, before any of its results is stored

_take = Intake.take


class _Settled:
    """A delivery that is already settled."""

    def __init__(self, delivery: Delivery) -> None:
        self.message: Recorded = delivery.message
        self.delivery_count = delivery.delivery_count

    async def ack(self) -> None:
        """Does nothing: it is already settled."""

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Does nothing: it is already settled."""

    async def dead_letter(self, reason: str) -> None:
        """Does nothing: it is already settled."""


async def _take_settled(intake: Intake, delivery: Delivery) -> None:
    await delivery.ack()
    await _take(intake, _Settled(delivery))


# outcomes are counted after the end of the batch


def _leave_open(_ledger: lifecycle.Ledger) -> None:
    return


# the projector forgets its position, and nothing prevents it from writing everything again


async def _forgetful_load(_model: TwinReadModel) -> State:
    return State()


async def _unchecked_write(model: TwinReadModel, after: int, changes: Changes) -> None:
    model._tables.sequence = after
    await _write(model, after, changes)


_write = TwinReadModel.write


# the id of an output line is generated when it is written


def _made_up(_batch_id: str, _line: int) -> str:
    return f"batch_req_{secrets.token_hex(16)}"


# after a lost runner, lines continue after the number of answered ones


def _resume_by_count(state: scheduling.State, runner_id: str) -> None:
    for slice_ in [each for each in state.slices.values() if each.event.runner_id == runner_id]:
        answered = len(slice_.event.lines) - len(slice_.lines)
        if (job := state.batches.get(slice_.event.batch_id)) is not None:
            job.returned.update({line: Waiting(attempt=2, deaths=0) for line in slice_.event.lines[answered:]})
        del state.slices[slice_.event.slice_id]


# the scheduler decides again before it has read what it just recorded


async def _append_only(scheduler: Scheduler, event: e.AnyEvent) -> None:
    await scheduler.writer.append(event)


# a pause is read and ignored


@property  # type: ignore[misc]  # it stands in for a property of a class
def _never_paused(_job: PendingBatch) -> bool:
    return False


# a drain is read and ignored


def _never_drained(_drains: Drains, _event: e.AnyDrainEvent) -> None:
    return None


# the sweep does not check what the events of a life refer to


async def _referred_to_by_none(_sweep: AnswerSweep, _lease: Recorded) -> set[str]:
    return set()


# a write that the log refuses permanently is ignored


async def _refusal_raised(_quarantine: Quarantine, _message: Message, refusal: Rejected) -> None:
    raise refusal


def _refusal_raised_again(_scheduler: Scheduler, _batch_id: object, refusal: Rejected) -> None:
    raise refusal


# chunks leave the log before their archive is stored, or before an event tells of it

_stored = Archiver._stored


async def _purge_then_store(archiver: Archiver, batch_id: BatchId, erased: Set[str]) -> e.BatchArchived:
    last = await archiver._means.log.last_sequence()
    store = _stored(archiver, batch_id, erased)
    await archiver._means.purge.purge(chunks_of(batch_id), last)
    return await store


async def _store_then_purge(archiver: Archiver, batch_id: BatchId, erased: Set[str]) -> e.BatchArchived:
    event = await _stored(archiver, batch_id, erased)
    await archiver._means.purge.purge(chunks_of(batch_id), event.last_sequence)
    return event


# an archive lacks its last chunk, and nobody compares it with the log

_write_archive = ArchiveFiles.write


async def _write_without_last_chunk(
    files: ArchiveFiles, blob: str, head: Any, records: AsyncIterator[Sequence[Recorded]]
) -> Archive:
    async def cut() -> AsyncIterator[Sequence[Recorded]]:
        kept = [record async for part in records for record in part]
        chunks = [record.sequence for record in kept if record.subject.endswith("chunk_completed")]
        yield [record for record in kept if record.sequence not in chunks[-1:]]

    return await _write_archive(files, blob, head, cut())


def _always_whole(*_archives: Archive, **_expected: int) -> None:
    return


# an archive is not read back: what was sent to the store counts as stored

_written: dict[str, Archive] = {}


async def _write_and_remember(files: ArchiveFiles, blob: str, head: Any, records: Any) -> Archive:
    _written[blob] = await _write_archive(files, blob, head, records)
    return _written[blob]


async def _trust(_files: ArchiveFiles, blob: str, _batch_id: BatchId) -> Archive:
    return _written[blob]


# every archive of a batch has the same name, so a zombie replaces what its successor stored

_archive_blob = archive_blob


def _one_name(batch_id: BatchId, _last_sequence: int, _erased: Iterable[str] = ()) -> str:
    return _archive_blob(batch_id, 0)


# the answers of a deleted file stay in the growing file


async def _keep_growing_file(_sweep: OutputSweep, _output: object, *, has_large_answers: bool) -> bool:
    return True


# an older archive stays beside the one without the answers


async def _leave_older_archives(_archiver: Archiver) -> None:
    return


FILES = frozenset({"files_are_whole", "outcomes_stand", "every_batch_ends", "a_rebuild_is_equal"})
ARCHIVES = frozenset({"what_leaves_the_log_is_archived"})

MUTATIONS: Mapping[str, Mutation] = {
    "no_fence": Mutation(
        "guards are ignored",
        ((MemoryStream, "append", _unguarded),),
        frozenset({"a_zombie_adds_nothing", "an_answered_request_is_never_asked_again", "outcomes_stand"}),
        100,
    ),
    "settled_too_soon": Mutation(
        "an order is acknowledged before its outcomes are stored",
        ((Intake, "take", _take_settled),),
        frozenset({"settled_after_stored"}),
        5,
    ),
    "counting_never_closes": Mutation(
        "a chunk counts after the end of counting",
        ((lifecycle.Ledger, "close", _leave_open),),
        FILES,
        300,
    ),
    "forgotten_checkpoint": Mutation(
        "the projector starts again from nothing on top of its rows",
        ((TwinReadModel, "load", _forgetful_load), (TwinReadModel, "write", _unchecked_write)),
        frozenset({"no_process_ends_on_a_bug", "a_rebuild_is_equal", "status_moves_along_the_arcs"}),
        30,
    ),
    "made_up_ids": Mutation(
        "an id comes from a random number",
        ((lines, "batch_request_id", _made_up),),
        frozenset({"a_rebuild_is_equal", "sealing_repeats_itself"}),
        5,
    ),
    "resume_by_counting": Mutation(
        "a new runner goes on behind as many lines as were answered",
        ((scheduling, "_take_back_all", _resume_by_count),),
        frozenset({"each_line_is_owed_once", "an_answered_request_is_never_asked_again", "every_batch_ends"}),
        100,
    ),
    "blind_dispatch": Mutation(
        "the scheduler does not wait to read its own events",
        ((Scheduler, "_append", _append_only),),
        frozenset({"each_line_is_owed_once", "an_answered_request_is_never_asked_again"}),
        30,
    ),
    "deaf_to_pauses": Mutation(
        "a paused batch is dispatched like any other",
        ((PendingBatch, "is_paused", _never_paused),),
        frozenset({"a_paused_batch_is_not_dispatched"}),
        60,
    ),
    "deaf_to_drains": Mutation(
        "a drained runner is sent work like any other",
        ((scheduling, "after_drain_event", _never_drained),),
        frozenset({"a_drained_runner_gets_nothing"}),
        60,
    ),
    "refused_append_ends_the_service": Mutation(
        "a write that is refused for good ends the service",
        ((Quarantine, "refuse", _refusal_raised), (Scheduler, "_give_up", _refusal_raised_again)),
        frozenset({"no_text_ends_a_service", "every_batch_ends"}),
        20,
    ),
    "blind_sweep": Mutation(
        "answers are swept without asking what events refer to",
        ((AnswerSweep, "_referred", _referred_to_by_none),),
        frozenset({"no_answer_is_orphaned", "every_batch_ends", "a_rebuild_is_equal"}),
        10,
    ),
    "purged_before_stored": Mutation(
        "chunks leave the log before their archive is durable",
        ((Archiver, "_stored", _purge_then_store),),
        ARCHIVES,
        5,
    ),
    "purged_before_told": Mutation(
        "chunks leave the log before an event says where their archive is",
        ((Archiver, "_stored", _store_then_purge),),
        ARCHIVES,
        5,
    ),
    "archive_without_last_chunk": Mutation(
        "the last chunk of a batch is not in its archive",
        ((ArchiveFiles, "write", _write_without_last_chunk), (archiving, "must_be_whole", _always_whole)),
        ARCHIVES,
        5,
    ),
    "archive_not_read_back": Mutation(
        "an archive counts as stored without being read back",
        ((ArchiveFiles, "write", _write_and_remember), (ArchiveFiles, "read_back", _trust)),
        ARCHIVES | {"no_process_ends_on_a_bug"},
        60,
    ),
    "erasure_forgets_growing_file": Mutation(
        "the answers of a deleted file stay in the growing file",
        ((OutputSweep, "_is_swept", _keep_growing_file),),
        frozenset({"erased_answers_are_nowhere", "a_rebuild_is_equal"}),
        30,
    ),
    "erasure_forgets_older_archive": Mutation(
        "the archive from before an erasure stays",
        ((Archiver, "_tidy", _leave_older_archives),),
        frozenset({"erased_answers_are_nowhere"}),
        60,
    ),
    "one_name_for_all_archives": Mutation(
        "an archive is called like the one before it",
        ((archiving, "archive_blob", _one_name),),
        ARCHIVES | {"erased_answers_are_nowhere"},
        300,
    ),
}
