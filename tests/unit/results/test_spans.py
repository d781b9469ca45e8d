"""The trace of a batch, as the log's events give it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId
from vbatch.results.core.spans import SLICES_MAX, ChunkSeen, Span, chunk_seen, folded, trace_id_of

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
BATCH = BatchId("batch_1")
GPU0, LLAMA = RunnerId("gpu0"), ModelId("llama")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def created() -> e.BatchCreated:
    return e.BatchCreated(
        at=at(0),
        batch_id=BATCH,
        owner=OwnerId("alice"),
        input_file_id=FileId("file-1"),
        endpoint="/v1/chat/completions",
        completion_window="24h",
        expires_at=at(86_400),
    )


def validated(seconds: float) -> e.BatchValidated:
    return e.BatchValidated(at=at(seconds), batch_id=BATCH, total=10, last_line=10, models=())


def dispatched(slice_id: str, seconds: float, attempt: int = 1) -> e.BatchDispatched:
    return e.BatchDispatched(
        at=at(seconds),
        batch_id=BATCH,
        slice_id=SliceId(slice_id),
        runner_id=GPU0,
        epoch=7,
        model=LLAMA,
        lines=(1, 2),
        attempt=attempt,
        reason="it is the only one",
    )


def chunk(slice_id: str, seconds: float) -> ChunkSeen:
    return ChunkSeen(SliceId(slice_id), at(seconds))


def returned(slice_id: str, seconds: float, reason: ReturnReason) -> e.SliceReturned:
    return e.SliceReturned(
        at=at(seconds), batch_id=BATCH, slice_id=SliceId(slice_id), runner_id=GPU0, epoch=7, lines=(2,), reason=reason
    )


def finalizing(seconds: float) -> e.BatchFinalizing:
    return e.BatchFinalizing(at=at(seconds), batch_id=BATCH, ending=e.Ending.COMPLETED, never_ran_count=0)


def completed(seconds: float) -> e.BatchCompleted:
    counts = e.RequestCounts(total=10, completed=9, failed=1)
    return e.BatchCompleted(at=at(seconds), batch_id=BATCH, counts=counts, usage=e.NO_USAGE)


WHOLE = (
    created(),
    validated(2),
    dispatched("s1", 5),
    e.ModelLoading(at=at(5), runner_id=GPU0, epoch=7, model=LLAMA),
    e.ModelLoaded(at=at(9), runner_id=GPU0, epoch=7, model=LLAMA, seconds=4.0, window=64),
    chunk("s1", 10),
    chunk("s1", 12),
    finalizing(12),
    completed(13),
)


def spans_of(*events: e.Event | ChunkSeen) -> list[Span]:
    return folded(BATCH, events).spans()


def only(spans: list[Span], name: str) -> Span:
    [found] = [span for span in spans if span.name == name]
    return found


def seconds(span: Span) -> tuple[float, float | None]:
    end = None if span.end is None else (span.end - NOON).total_seconds()
    return (span.start - NOON).total_seconds(), end


def test_a_whole_batch_is_one_root_with_what_it_waited_for_and_where_it_ran():
    spans = spans_of(*WHOLE)
    assert {span.name: seconds(span) for span in spans} == {
        "batch": (0, 13),
        "validate": (0, 2),
        "wait for a device": (2, 5),
        "slice": (5, 12),
        "load model": (5, 9),
        "seal": (12, 13),
    }


def test_there_is_one_root_and_no_orphan():
    spans = spans_of(*WHOLE)
    assert [span.name for span in spans if span.parent_id is None] == ["batch"]
    assert {span.parent_id for span in spans[1:]} == {spans[0].span_id}
    assert {span.trace_id for span in spans} == {trace_id_of(BATCH)}


def test_the_same_events_give_the_same_ids():
    assert spans_of(*WHOLE) == spans_of(*WHOLE)
    ids = [span.span_id for span in spans_of(*WHOLE)]
    assert len(set(ids)) == len(ids)


def test_the_root_says_how_it_ended_and_every_span_whose_it_is():
    spans = spans_of(*WHOLE)
    assert spans[0].attributes["vbatch.ending"] == "completed"
    assert (spans[0].attributes["vbatch.succeeded"], spans[0].attributes["vbatch.failed"]) == (9, 1)
    assert {span.attributes["vbatch.batch_id"] for span in spans} == {BATCH}


def test_a_running_batch_has_spans_without_an_end():
    spans = spans_of(*WHOLE[:3])
    assert seconds(only(spans, "batch")) == (0, None)
    assert seconds(only(spans, "slice")) == (5, None)


def test_a_slice_that_an_engine_took_down_is_an_error_and_says_what_came_back():
    crash = e.EngineCrashed(at=at(7), runner_id=GPU0, epoch=7, model=LLAMA, detail="killed", suspect_count=1)
    spans = spans_of(*WHOLE[:3], crash, returned("s1", 7, ReturnReason.ENGINE_DIED), dispatched("s2", 8, attempt=2))
    lost = next(span for span in spans if span.attributes.get("vbatch.slice_id") == "s1")
    assert lost.is_error and lost.attributes["vbatch.returned_why"] == "engine_died"
    assert seconds(only(spans, "engine crashed")) == (7, 7)


def test_a_slice_that_a_cancel_took_back_is_no_error():
    spans = spans_of(*WHOLE[:3], returned("s1", 7, ReturnReason.CANCELLED))
    assert not only(spans, "slice").is_error


def test_the_root_is_linked_to_the_request_that_created_the_batch():
    trace = folded(BATCH, WHOLE)
    trace.caller = (1, 2)
    assert [span.link for span in trace.spans() if span.link is not None] == [trace.spans()[0].link] == [(1, 2)]


def test_each_pause_is_a_span():
    pause, resume = e.BatchPaused(at=at(3), batch_id=BATCH), e.BatchResumed(at=at(4), batch_id=BATCH)
    again = e.BatchPaused(at=at(6), batch_id=BATCH)
    spans = spans_of(*WHOLE[:2], pause, resume, again, finalizing(9))
    assert [seconds(span) for span in spans if span.name == "paused"] == [(3, 4), (6, 9)]


def test_a_batch_with_a_bad_file_ends_in_its_validation():
    rejected = e.BatchRejected(at=at(1), batch_id=BATCH, faults=())
    spans = spans_of(created(), rejected)
    assert [(span.name, seconds(span), span.is_error) for span in spans] == [
        ("batch", (0, 1), True),
        ("validate", (0, 1), True),
    ]


def test_models_of_other_batches_are_not_told():
    other = e.ModelLoading(at=at(6), runner_id=GPU0, epoch=7, model=ModelId("qwen"))
    assert [span.name for span in spans_of(*WHOLE[:3], other) if span.name == "load model"] == []


def test_very_many_slices_are_one_span_beyond_the_bound():
    slices = [dispatched(f"s{number}", 5) for number in range(SLICES_MAX + 3)]
    spans = spans_of(created(), validated(2), *slices)
    assert only(spans, "more slices").attributes["vbatch.slices"] == 3
    assert len([span for span in spans if span.name == "slice"]) == SLICES_MAX


def test_no_span_ends_before_it_starts_when_clocks_differ():
    spans = spans_of(created(), validated(-1))
    assert seconds(only(spans, "validate")) == (0, 0)


def test_a_batch_whose_creation_was_not_seen_has_no_trace():
    assert spans_of(validated(2)) == []


def test_a_chunk_is_known_by_its_message_id():
    event = e.ChunkCompleted(
        at=at(1), batch_id=BATCH, slice_id=SliceId("s1"), runner_id=GPU0, epoch=7, chunk=3, model=LLAMA, outcomes=()
    )
    assert chunk_seen(BY_TYPE[e.ChunkCompleted].message_id(event), at(1)) == ChunkSeen(SliceId("s1"), at(1))


@pytest.mark.parametrize("message_id", ["", "batch_1:batch.completed"])
def test_another_message_id_is_no_chunk(message_id: str):
    assert chunk_seen(message_id, at(1)) is None
