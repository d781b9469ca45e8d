from __future__ import annotations

from datetime import timedelta

from tests.support import events as samples
from tests.support.events import NOON
from vbatch.cli.live import LiveEvent, Progress
from vbatch.client.core.live_events import ChunkSummary
from vbatch.contracts import events as e
from vbatch.contracts.ids import ModelId
from vbatch.contracts.lifecycle import BatchStatus


def seen(*events: LiveEvent) -> Progress:
    progress = Progress()
    for event in events:
        progress.apply(event)
    return progress


def validated(total: int) -> e.BatchValidated:
    per_model = e.ModelTotal(model=samples.MODEL, requests=total, input_bytes=1)
    return e.BatchValidated(batch_id=samples.BATCH, total=total, last_line=total, models=(per_model,), at=NOON)


def chunk(*lines: int, second: float, failed: int = 0) -> ChunkSummary:
    return ChunkSummary(
        at=NOON + timedelta(seconds=second),
        lines=lines,
        succeeded=len(lines) - failed,
        failed=failed,
        usage=e.Usage(input_tokens=len(lines), output_tokens=2 * len(lines)),
    )


LOADING = e.ModelLoading(runner_id=samples.RUNNER, epoch=1, model=samples.MODEL, at=NOON)
LOADED = e.ModelLoaded(runner_id=samples.RUNNER, epoch=1, model=samples.MODEL, seconds=21.5, window=8, at=NOON)


def test_nothing_is_known_before_the_file_is_validated():
    progress = seen(samples.BATCH_CREATED)
    assert (progress.status, progress.counts.total, progress.seconds_left()) == (BatchStatus.VALIDATING, 0, None)


def test_answers_add_up_over_chunks():
    progress = seen(samples.BATCH_CREATED, validated(10), chunk(1, 2, second=1), chunk(3, 4, second=2, failed=1))
    assert progress.counts == e.RequestCounts(total=10, completed=3, failed=1)
    assert progress.usage == e.Usage(input_tokens=4, output_tokens=8)


def test_a_line_that_was_answered_twice_counts_once():
    assert seen(validated(10), chunk(1, 2, second=1), chunk(1, 2, second=2)).answered == 2


def test_speed_is_what_came_between_the_first_and_the_last_outcome_of_the_window():
    progress = seen(validated(10), chunk(1, second=1), chunk(2, 3, second=2), chunk(4, 5, second=3))
    assert progress.speed().requests_per_second == 2.0
    assert progress.speed().tokens_per_second == 6.0


def test_the_clock_of_the_speed_starts_when_the_model_is_loaded():
    assert seen(validated(10), LOADING, LOADED, chunk(1, 2, 3, 4, second=2)).speed().requests_per_second == 2.0


def test_without_news_of_the_model_the_clock_starts_with_the_first_dispatch():
    progress = seen(validated(10), samples.BATCH_DISPATCHED, chunk(1, 2, second=1))
    assert progress.speed().requests_per_second == 2.0


def test_the_time_left_follows_from_the_speed():
    progress = seen(validated(10), chunk(1, 2, second=1), chunk(3, 4, second=2))
    assert progress.seconds_left() == 3.0


def test_old_outcomes_leave_the_speed():
    many = [chunk(2 + step, second=100 + step) for step in range(40)]
    assert seen(validated(100), chunk(1, second=1), *many).speed().requests_per_second == 1.0


def test_while_a_model_loads_no_time_left_is_claimed():
    progress = seen(validated(10), chunk(1, second=1), chunk(2, second=2), LOADING)
    assert (progress.loading, progress.seconds_left()) == (samples.MODEL, None)


def test_a_loaded_model_is_remarked_with_its_seconds():
    progress = seen(validated(10), LOADING, LOADED)
    assert (progress.loading, progress.remarks) == (None, [f"{samples.MODEL} loaded in 21.5 s"])


def test_the_loading_of_another_model_is_not_news():
    other = e.ModelLoading(runner_id=samples.RUNNER, epoch=1, model=ModelId("other"), at=NOON)
    assert seen(validated(10), other).loading is None


def test_the_seal_brings_the_exact_counts():
    sealed = e.BatchCancelled(
        batch_id=samples.BATCH,
        counts=e.RequestCounts(total=10, completed=1, failed=0),
        usage=e.NO_USAGE,
        at=NOON + timedelta(seconds=9),
    )
    asked = e.BatchCancelRequested(batch_id=samples.BATCH, at=NOON)
    progress = seen(samples.BATCH_CREATED, validated(10), chunk(1, 2, second=1), asked, sealed)
    assert (progress.status, progress.answered, progress.seconds) == (BatchStatus.CANCELLED, 1, 9.0)
    assert progress.is_over


def test_a_rejected_file_ends_the_batch_with_its_faults():
    rejected = next(event for event in samples.SAMPLES if isinstance(event, e.BatchRejected))
    progress = seen(samples.BATCH_CREATED, rejected)
    assert (progress.status, progress.faults) == (BatchStatus.FAILED, rejected.faults)
