"""What the rows say after the events of a log."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.support.events import (
    ANSWER,
    BATCH,
    BATCH_CREATED,
    BATCH_VALIDATED,
    CHUNK_COMPLETED,
    FILE,
    FILE_STORED,
    FINALIZING,
    MODEL,
    NOON,
    OUTCOMES,
    OWNER,
    RUNNER,
    SAMPLES,
)
from vbatch.contracts import events as e
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import RunnerId
from vbatch.contracts.lines import output_line
from vbatch.contracts.read_model.rows import BatchRow
from vbatch.results.core.impossible_event import ImpossibleEvent
from vbatch.results.core.projection import Changes, State, passed, project

LATER = NOON + timedelta(hours=1)
CANCEL = e.BatchCancelRequested(batch_id=BATCH, at=LATER)
CANCELLED = e.BatchFinalizing(batch_id=BATCH, ending=e.Ending.CANCELLED, never_ran_count=3, at=LATER)
REJECTED = e.BatchRejected(
    batch_id=BATCH,
    faults=(e.BatchFault(code=FileFault.INVALID_JSON_LINE, message="Not JSON.", line=2),),
    at=LATER,
)


def projected(*events: e.AnyEvent, state: State | None = None) -> tuple[State, Changes]:
    state, changes = state or State(), Changes()
    for sequence, event in enumerate(events, state.sequence + 1):
        project(state, changes, sequence, event)
        passed(state, changes, sequence)
    return state, changes


def row_after(*events: e.AnyEvent) -> BatchRow:
    return projected(*events)[1].batches[BATCH]


def chunk(*outcomes: e.Outcome) -> e.ChunkCompleted:
    return msgspec.structs.replace(CHUNK_COMPLETED, outcomes=outcomes)


def test_every_event_of_the_catalogue_can_be_projected():
    _, changes = projected(*SAMPLES)
    assert changes.sequence == len(SAMPLES)


def test_a_created_batch_is_validating_and_has_its_order():
    row = row_after(FILE_STORED, BATCH_CREATED)
    assert (row.status, row.sequence, row.owner, row.total) == ("validating", 2, OWNER, 0)


def test_a_validated_batch_has_its_totals_and_its_one_model():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED)
    assert (row.status, row.total, row.last_line, row.model) == ("in_progress", 3, 3, MODEL)
    assert row.in_progress_at == NOON


def test_a_batch_of_two_models_has_no_model_of_its_own():
    two = msgspec.structs.replace(BATCH_VALIDATED, models=BATCH_VALIDATED.models * 2)
    assert row_after(BATCH_CREATED, two).model is None


def test_a_rejected_batch_is_over_and_says_why():
    state, changes = projected(BATCH_CREATED, REJECTED)
    row = changes.batches[BATCH]
    assert (row.status, row.failed_at) == ("failed", LATER)
    assert row.errors == '[{"code":"invalid_json_line","message":"Not JSON.","line":2,"param":null}]'
    assert not state.batches


def test_a_chunk_becomes_rows_that_point_at_its_output_lines():
    _, changes = projected(BATCH_CREATED, BATCH_VALIDATED, CHUNK_COMPLETED)
    lines = [output_line(BATCH, outcome) for outcome in OUTCOMES]
    growth = b"".join(changes.growth[BATCH].lines)
    assert growth == b"".join(lines)
    assert [growth[row[2] : row[2] + row[3]] for row in changes.outcomes] == lines
    assert changes.batches[BATCH].partial_bytes == len(growth)


def test_the_counts_and_the_usage_are_those_of_the_outcomes():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED, CHUNK_COMPLETED)
    assert (row.completed, row.failed, row.input_tokens, row.output_tokens) == (1, 2, 5, 7)


def test_the_first_outcome_of_a_line_wins():
    again = e.Outcome(line=1, custom_id="a", status_code=500, body=ANSWER)
    _, changes = projected(BATCH_CREATED, BATCH_VALIDATED, chunk(OUTCOMES[0]), chunk(again))
    assert [row[5] for row in changes.outcomes] == [200]
    assert changes.batches[BATCH].version == 3


def test_outcomes_after_the_end_of_counting_do_not_count():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED, chunk(OUTCOMES[0]), FINALIZING, CHUNK_COMPLETED)
    assert (row.status, row.completed, row.failed) == ("finalizing", 1, 0)


def test_outcomes_before_validation_do_not_count():
    assert row_after(BATCH_CREATED, CHUNK_COMPLETED).completed == 0


def test_a_cancel_before_the_end_of_counting_makes_the_ending_cancelled():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED, CANCEL, FINALIZING)
    assert (row.status, row.ending, row.finalizing_at) == ("cancelling", "cancelled", None)
    assert row.counting_ended_at == NOON


def test_a_cancel_after_the_end_of_counting_changes_nothing():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED, FINALIZING, CANCEL)
    assert (row.status, row.ending, row.version) == ("finalizing", "completed", 3)


def test_a_file_found_fit_after_the_cancel_counts_for_nothing():
    row = row_after(BATCH_CREATED, CANCEL, BATCH_VALIDATED, CHUNK_COMPLETED, CANCELLED)
    assert (row.status, row.total, row.model, row.in_progress_at) == ("cancelling", 0, None, None)


def test_only_the_first_end_of_counting_counts():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED, FINALIZING, CANCELLED)
    assert (row.ending, row.counting_ended_at) == ("completed", NOON)


@pytest.mark.parametrize("outcome", [
    e.Outcome(line=4, custom_id="d", status_code=200),
    e.Outcome(line=0, custom_id="d", status_code=200),
    e.Outcome(line=1, custom_id="d", status_code=70_000),
    e.Outcome(line=1, custom_id="d"),
    e.Outcome(line=1, custom_id="d", status_code=200, usage=e.Usage(input_tokens=2**40)),
])  # fmt: skip
def test_a_chunk_that_cannot_be_true_changes_nothing(outcome: e.Outcome):
    state, changes = projected(BATCH_CREATED, BATCH_VALIDATED)
    before = changes.batches[BATCH]
    with pytest.raises(ImpossibleEvent):
        project(state, changes, 3, chunk(OUTCOMES[1], outcome))
    assert (changes.batches[BATCH], changes.outcomes, state.batches[BATCH].row) == (before, [], before)


def test_a_time_without_a_zone_is_a_misfit():
    with pytest.raises(ImpossibleEvent):
        projected(msgspec.structs.replace(BATCH_CREATED, at=NOON.replace(tzinfo=None)))


def test_a_custom_id_with_a_nul_can_be_stored():
    _, changes = projected(BATCH_CREATED, BATCH_VALIDATED, chunk(e.Outcome(line=1, custom_id="\0", status_code=200)))
    assert changes.outcomes[0][4] == "\ufffd"


def test_the_first_file_of_an_id_stays():
    again = msgspec.structs.replace(FILE_STORED, filename="other.jsonl")
    _, changes = projected(FILE_STORED, again)
    assert changes.files[FILE].filename == "in.jsonl"


def test_a_runner_of_an_older_epoch_says_nothing():
    first = e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=NOON)
    stale = e.ModelLoaded(runner_id=RUNNER, epoch=1, model=MODEL, seconds=1.0, window=9, at=NOON)
    state, _ = projected(first, first, stale)
    assert state.runners[RunnerId(RUNNER)].state == "idle"


def test_a_loaded_runner_is_ready_with_its_window():
    leased = e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=NOON)
    loaded = e.ModelLoaded(runner_id=RUNNER, epoch=1, model=MODEL, seconds=1.0, window=9, at=LATER)
    row = projected(leased, loaded)[0].runners[RunnerId(RUNNER)]
    assert (row.state, row.model, row.request_window, row.since) == ("ready", MODEL, 9, LATER)


LINES = 12
PICKS = st.lists(st.tuples(st.integers(1, LINES), st.sampled_from([200, 400, None])), max_size=40)
WIDE = msgspec.structs.replace(BATCH_VALIDATED, total=LINES, last_line=LINES)


def _outcome(line: int, code: int | None) -> e.Outcome:
    usage = e.Usage(input_tokens=line)
    return e.Outcome(line=line, custom_id=str(line), status_code=code, error=OUTCOMES[2].error, usage=usage)


@given(PICKS)
def test_any_interleaving_of_repeats_counts_as_the_first_outcomes_do(picks: list[tuple[int, int | None]]):
    row = row_after(BATCH_CREATED, WIDE, *(chunk(_outcome(*pick)) for pick in picks))
    first = dict(reversed(picks))
    assert row.completed == sum(code == 200 for code in first.values())
    assert row.failed == len(first) - row.completed
    assert row.input_tokens == sum(first)


@given(PICKS, st.integers(1, 9))
def test_transactions_of_any_size_write_the_same_rows_and_bytes(picks: list[tuple[int, int | None]], size: int):
    events: list[e.AnyEvent] = [BATCH_CREATED, WIDE, *(chunk(_outcome(*pick)) for pick in picks), FINALIZING]
    _, whole = projected(*events)
    state, outcomes, last = State(), [], None
    lines: list[bytes] = []
    for at in range(0, len(events), size):
        state, part = projected(*events[at : at + size], state=state)
        outcomes += part.outcomes
        if BATCH in part.growth:
            assert part.growth[BATCH].start == sum(len(line) for line in lines)
            lines += part.growth[BATCH].lines
        last = part.batches.get(BATCH, last)
    assert (outcomes, last) == (whole.outcomes, whole.batches[BATCH])
    assert lines == (whole.growth[BATCH].lines if picks else [])


PAUSED = e.BatchPaused(batch_id=BATCH, at=LATER)


def test_a_paused_batch_keeps_its_status_and_says_since_when():
    row = row_after(BATCH_CREATED, BATCH_VALIDATED, PAUSED)
    assert (row.status, row.paused_at, row.version) == ("in_progress", LATER, 3)


@pytest.mark.parametrize("end", [e.BatchResumed(batch_id=BATCH, at=LATER), CANCEL, CANCELLED, FINALIZING])
def test_a_pause_is_over_when_the_batch_is_resumed_or_being_ended(end: e.AnyEvent):
    assert row_after(BATCH_CREATED, BATCH_VALIDATED, PAUSED, end).paused_at is None


def test_the_priority_asked_first_is_kept_beside_the_one_that_holds():
    created = msgspec.structs.replace(BATCH_CREATED, priority=10)
    row = row_after(created, e.BatchPriorityChanged(batch_id=BATCH, priority=-20, at=LATER))
    assert (row.priority, row.asked_priority) == (-20, 10)


@pytest.mark.parametrize(
    "event",
    [
        msgspec.structs.replace(BATCH_CREATED, priority=101),
        e.BatchPriorityChanged(batch_id=BATCH, priority=-101, at=LATER),
    ],
)
def test_a_priority_that_nobody_could_have_asked_for_is_a_misfit(event: e.AnyEvent):
    before = [] if isinstance(event, e.BatchCreated) else [BATCH_CREATED]
    with pytest.raises(ImpossibleEvent):
        projected(*before, event)
