from datetime import datetime, timedelta

from tests.support.events import MODEL, NOON, OWNER, RUNNER
from vbatch.contracts import events as e
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import BatchId, FileId, SliceId
from vbatch.gateway.core.answer_lines import ChunkRecord
from vbatch.gateway.core.timeline import STEPS_MAX, Chunk, Step, Timeline, TimelineObject

BATCH = BatchId("batch_" + "0" * 32)
CREATED = e.BatchCreated(
    batch_id=BATCH,
    owner=OWNER,
    input_file_id=FileId("file-1"),
    endpoint="/v1/chat/completions",
    completion_window="24h",
    expires_at=NOON,
    priority=5,
    at=NOON,
)
VALIDATED = e.BatchValidated(batch_id=BATCH, total=4, last_line=4, models=(), at=NOON)
FINALIZING = e.BatchFinalizing(batch_id=BATCH, ending=e.Ending.COMPLETED, never_ran_count=0, at=NOON)
COMPLETED = e.BatchCompleted(
    batch_id=BATCH, counts=e.RequestCounts(total=4, completed=3, failed=1), usage=e.NO_USAGE, at=NOON
)


def dispatched(number: int, *, attempt: int = 1) -> e.BatchDispatched:
    return e.BatchDispatched(
        batch_id=BATCH,
        slice_id=SliceId(f"s{number}"),
        runner_id=RUNNER,
        epoch=1,
        model=MODEL,
        lines=(1, 2),
        attempt=attempt,
        reason="it is the only one",
        at=NOON,
    )


def returned(number: int) -> e.SliceReturned:
    return e.SliceReturned(
        batch_id=BATCH,
        slice_id=SliceId(f"s{number}"),
        runner_id=RUNNER,
        epoch=1,
        lines=(1, 2),
        reason=ReturnReason.ENGINE_DIED,
        at=NOON,
    )


def chunk(number: int, *, failed: int = 0) -> Chunk:
    return Chunk(SliceId(f"s{number}"), ChunkRecord(0, completed=2 - failed, failed=failed, output_tokens=10))


def told(*events: object, at: int | None = None, seconds: float = 10) -> TimelineObject:
    """Each event `seconds` after the one before, as sequences 1, 2, 3, …"""
    timeline = Timeline(at)
    for index, event in enumerate(events):
        timeline.fold(Step(index + 1, moment(index, seconds), event))  # type: ignore[arg-type]  # as the test names them
    view = timeline.view(moment(len(events), seconds))
    assert view is not None
    return view


def moment(index: int, seconds: float = 10) -> datetime:
    return NOON + timedelta(seconds=index * seconds)


WHOLE = (CREATED, VALIDATED, dispatched(1), chunk(1), dispatched(2), chunk(2, failed=1), FINALIZING, COMPLETED)


def test_a_batch_is_checked_waits_runs_and_is_sealed():
    view = told(*WHOLE)
    spans = [(span.kind, span.starts_at - NOON.timestamp(), span.ends_at) for span in view.spans]
    assert [(kind, start) for kind, start, _ in spans] == [
        ("validating", 0),
        ("waiting", 10),
        ("sealing", 60),
        ("running", 20),
        ("running", 40),
    ]
    assert view.is_over and all(end is not None for _, _, end in spans)
    assert "the only one" in view.spans[1].label


def test_slices_that_follow_each_other_closely_are_one_span():
    running = [span for span in told(*WHOLE, seconds=1).spans if span.kind == "running"]
    assert len(running) == 1 and running[0].ends_at == moment(5, 1).timestamp()


def test_the_state_at_any_event_is_what_folding_to_it_gives():
    states = [told(*WHOLE, at=sequence).state for sequence in range(1, len(WHOLE) + 1)]
    assert [state.status for state in states] == [
        "validating",
        *["in_progress"] * 5,
        "finalizing",
        "completed",
    ]
    assert [(state.completed, state.failed) for state in states[3:6]] == [(2, 0), (2, 0), (3, 1)]
    assert states[1].changed == ["status", "total"] and states[0].priority == 5
    assert told(*WHOLE).state == states[-1]


def test_a_state_between_two_events_is_that_of_the_earlier():
    timeline = Timeline(at=7)
    for sequence, event in ((5, CREATED), (9, VALIDATED)):
        timeline.fold(Step(sequence, NOON, event))
    view = timeline.view(NOON)
    assert view is not None and view.state.sequence == 5 and view.steps == [5, 9]


def test_a_pause_is_a_span_and_steering_is_marked():
    paused = e.BatchPaused(batch_id=BATCH, at=NOON)
    raised = e.BatchPriorityChanged(batch_id=BATCH, priority=40, at=NOON)
    view = told(CREATED, VALIDATED, paused, raised, e.BatchResumed(batch_id=BATCH, at=NOON))
    assert [span.kind for span in view.spans] == ["validating", "waiting", "paused"]
    assert view.spans[2].ends_at == moment(4).timestamp()
    assert "priority changed" in [mark.kind for mark in view.marks] and view.state.priority == 40


def test_what_a_killed_engine_gave_back_is_marked_and_so_is_the_retry():
    crash = e.EngineCrashed(runner_id=RUNNER, epoch=1, model=MODEL, detail="killed", suspect_count=2, at=NOON)
    view = told(CREATED, VALIDATED, dispatched(1), crash, returned(1), dispatched(2, attempt=2), chunk(2))
    assert [mark.kind for mark in view.marks] == ["validated", "engine crashed", "returned", "retried"]
    assert view.state.slices_returned == 1


def test_loads_are_shown_of_the_runners_that_ran_it():
    loading = e.ModelLoading(runner_id=RUNNER, epoch=1, model=MODEL, at=NOON)
    loaded = e.ModelLoaded(runner_id=RUNNER, epoch=1, model=MODEL, seconds=9, window=4, at=NOON)
    view = told(CREATED, VALIDATED, loading, loaded, dispatched(1), chunk(1))
    assert [(span.kind, span.lane) for span in view.spans if span.kind == "loading"] == [("loading", RUNNER)]
    assert not [span for span in told(CREATED, loading, loaded).spans if span.kind == "loading"]


def test_of_a_long_log_a_part_of_the_steps_is_named_with_both_ends():
    view = told(CREATED, VALIDATED, dispatched(1), *[chunk(1)] * 5_000)
    assert len(view.steps) <= STEPS_MAX + 1 and (view.steps[0], view.steps[-1]) == (1, 5_003)
