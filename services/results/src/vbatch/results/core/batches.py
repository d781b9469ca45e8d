"""The row and the ledger of one batch, and what each event makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import msgspec
from msgspec.structs import replace

from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.lifecycle import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    BatchStatus,
    Ledger,
    Steering,
    next_status,
    steered,
    true_ending,
)
from vbatch.contracts.lines import output_line
from vbatch.contracts.read_model.rows import BatchRow, ModelRow, OutcomeRow, RunnerRow, storable
from vbatch.results.core.engines import engine_use, with_engine
from vbatch.results.core.facets import facets_of
from vbatch.results.core.impossible_event import ImpossibleEvent

NUMBER_MAX = 2**31 - 1
"""The bound on lines in a file and on tokens in an outcome: the columns are 32 bits wide."""

Move = e.BatchValidated | e.BatchRejected | e.BatchCancelRequested | e.BatchFinalizing | e.SealedEvent | e.SteeringEvent
"""The events that change the row of a batch that exists."""


@dataclass
class OpenBatch:
    """A batch that has not ended; it has a ledger once its file was found valid."""

    row: BatchRow
    ledger: Ledger | None = None
    engine_of: tuple[RunnerRow | None, ModelId] | None = None
    """The runner that gave the last answers, as it was then, and their model."""


def restored(row: BatchRow) -> OpenBatch:
    """A batch restored from its row; the lines that have an outcome are added afterwards."""
    if row.in_progress_at is None or row.is_counted:
        return OpenBatch(row)
    ledger = Ledger(row.total, row.last_line)
    ledger.usage = row.usage
    if row.flaws is not None:
        ledger.flaws = msgspec.json.decode(row.flaws, type=dict[e.Flaw, int])
    return OpenBatch(row, ledger)


def counted_before(batch: OpenBatch, answered: Iterable[tuple[int, int | None]]) -> None:
    """Restore outcomes that counted before the checkpoint, as line and status code; the row has their usage and flaws
    already."""
    if batch.ledger is not None:
        for line, status_code in answered:
            batch.ledger.record(e.OutcomeOutline(line, status_code))


def created(sequence: int, event: e.BatchCreated) -> BatchRow:
    """The row of a new batch. Raises ImpossibleEvent."""
    _must_be_priority(event.priority)
    return BatchRow(
        id=event.batch_id,
        sequence=sequence,
        owner=event.owner,
        endpoint=event.endpoint,
        completion_window=event.completion_window,
        input_file_id=event.input_file_id,
        metadata=None if event.metadata is None else _json(event.metadata),
        output_expires_after_seconds=event.output_expires_after_seconds,
        created_at=event.at,
        expires_at=event.expires_at,
        priority=event.priority,
        asked_priority=event.priority,
        retry_of=event.retry_of,
        fanout_id=event.fanout_id,
        asked_model=event.model,
        pause_on=_json(event.pause_on) if event.pause_on else None,
        version=sequence,
    )


def move(batch: OpenBatch, sequence: int, event: Move) -> bool:
    """Apply an event that changes the status, steers or ends counting; return whether it changed anything.

    Raises ImpossibleEvent.
    """
    status = BatchStatus(batch.row.status)
    moved = next_status(status, event)
    row = _steered(batch.row, moved, event)
    if isinstance(event, e.BatchFinalizing):
        # The status is separate: a batch that is being cancelled stays so while its counting ends.
        row = _counting_ended(row, batch.ledger, true_ending(status, event.ending), event)
    if moved is not status:
        row = _with_status(_with_facts(batch, row, event), moved, event.at)
    if row is batch.row:
        return False
    batch.row = replace(row, version=sequence)
    return True


def count(
    batch: OpenBatch, sequence: int, chunk: e.ChunkCompleted, *, outcomes: list[OutcomeRow], lines: list[bytes]
) -> bool:
    """Add the rows and output lines of the outcomes that count; return whether any did. Raises ImpossibleEvent."""
    ledger, row = batch.ledger, batch.row
    if ledger is None or ledger.is_closed:
        return False
    _must_be_possible(chunk.outcomes, row.last_line)
    start = row.partial_bytes
    batch_id = chunk.batch_id
    for outcome in chunk.outcomes:
        if ledger.record(outcome):
            line = output_line(batch_id, outcome)
            lines.append(line)
            outcomes.append(_outcome_row(row.sequence, sequence, outcome, start, len(line)))
            start += len(line)
    if start == row.partial_bytes:
        return False
    batch.row = _counted(row, ledger, sequence, chunk, start)
    return True


def note_engine(batch: OpenBatch, runner: RunnerRow | None, chunk: e.ChunkCompleted) -> None:
    """Add the engine that gave these answers to those of the batch. A runner that has not changed adds nothing."""
    if batch.engine_of is not None and batch.engine_of[0] is runner and batch.engine_of[1] == chunk.model:
        return
    batch.engine_of = (runner, chunk.model)
    use = engine_use(runner, chunk)
    if use is not None:
        batch.row = replace(batch.row, engines=with_engine(batch.row.engines, use))


def model_row(event: e.ModelRegistered) -> ModelRow:
    return ModelRow(id=event.model.id, definition=_json(event.model), registered_at=event.at)


def _counting_ended(row: BatchRow, ledger: Ledger | None, ending: e.Ending, event: e.BatchFinalizing) -> BatchRow:
    if row.is_counted:
        return row
    if ledger is not None:
        ledger.close()
    return replace(row, ending=ending.value, counting_ended_at=event.at)


def _steered(row: BatchRow, moved: BatchStatus, event: Move) -> BatchRow:
    if isinstance(event, e.BatchPriorityChanged):
        _must_be_priority(event.priority)
    before = Steering(row.priority, row.paused_at)
    after = steered(before, moved, event)
    return row if after == before else replace(row, priority=after.priority, paused_at=after.paused_at)


def _must_be_priority(priority: int) -> None:
    if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise ImpossibleEvent(f"priority {priority}")


def _with_facts(batch: OpenBatch, row: BatchRow, event: Move) -> BatchRow:
    """The row with what the event says in addition to the new status."""
    match event:
        case e.BatchValidated():
            if not 0 <= event.total <= event.last_line <= NUMBER_MAX:
                raise ImpossibleEvent(f"{event.total} requests on {event.last_line} lines")
            batch.ledger = Ledger(event.total, event.last_line)
            model = event.models[0].model if len(event.models) == 1 else None
            return replace(row, total=event.total, last_line=event.last_line, model=model)
        case e.BatchRejected():
            return replace(row, errors=_json(event.faults))
        case e.BatchSealed():
            return replace(row, output_file_id=event.output_file_id, error_file_id=event.error_file_id)
        case e.BatchCancelRequested() | e.BatchFinalizing():
            return row
        case e.BatchPaused() | e.BatchResumed() | e.BatchPriorityChanged():
            return row
        case _:
            assert_never(event)


def _with_status(row: BatchRow, status: BatchStatus, at: datetime) -> BatchRow:
    """The row in its new status, with the time of the change in the column of that status."""
    row = replace(row, status=status.value)
    match status:
        case BatchStatus.VALIDATING:
            return row  # a batch is created in this status; no event leads to it
        case BatchStatus.FAILED:
            return replace(row, failed_at=at)
        case BatchStatus.IN_PROGRESS:
            return replace(row, in_progress_at=at)
        case BatchStatus.FINALIZING:
            return replace(row, finalizing_at=at)
        case BatchStatus.COMPLETED:
            return replace(row, completed_at=at)
        case BatchStatus.EXPIRED:
            return replace(row, expired_at=at)
        case BatchStatus.CANCELLING:
            return replace(row, cancelling_at=at)
        case BatchStatus.CANCELLED:
            return replace(row, cancelled_at=at)
        case _:
            assert_never(status)


def _must_be_possible(outcomes: Sequence[e.Outcome], last_line: int) -> None:
    for outcome in outcomes:
        usage, code = outcome.usage, outcome.status_code
        if not 0 < outcome.line <= last_line:
            raise ImpossibleEvent(f"line {outcome.line} of a file of {last_line} lines")
        if not (0 <= usage.input_tokens <= NUMBER_MAX and 0 <= usage.output_tokens <= NUMBER_MAX):
            raise ImpossibleEvent(f"line {outcome.line}: its usage cannot be")
        if not 100 <= code <= 599 if code is not None else outcome.error is None:
            raise ImpossibleEvent(f"line {outcome.line}: status code {code} without an error")


def _outcome_row(batch_sequence: int, sequence: int, outcome: e.Outcome, start: int, length: int) -> OutcomeRow:
    usage, error, facets = outcome.usage, outcome.error, facets_of(outcome)
    return (
        batch_sequence,
        outcome.line,
        start,
        length,
        storable(outcome.custom_id),
        outcome.status_code,
        None if error is None else error.code.value,
        usage.input_tokens,
        usage.output_tokens,
        outcome.seconds,
        sequence,
        None if facets.model is None else storable(facets.model),
        None if facets.finish_reason is None else storable(facets.finish_reason),
        facets.text_chars,
        facets.is_json,
        facets.text_hash,
    )


def _counted(row: BatchRow, ledger: Ledger, sequence: int, chunk: e.ChunkCompleted, partial_bytes: int) -> BatchRow:
    usage = ledger.usage
    return replace(
        row,
        completed=ledger.completed,
        failed=ledger.failed,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        flaws=_json(ledger.flaws) if ledger.flaws else None,
        partial_bytes=partial_bytes,
        first_outcome_at=row.first_outcome_at or chunk.at,
        last_outcome_at=chunk.at,
        version=sequence,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
