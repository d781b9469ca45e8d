"""What Prometheus is told of queues, windows and waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from vbatch.contracts import events as e
from vbatch.contracts.forecast import Admission, Forecast, ForecastEntry
from vbatch.contracts.ids import BatchId, FileId, ModelId, OwnerId, RunnerId, SliceId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.journal.port import Fill
from vbatch.scheduler.adapters.metrics import BatchTimes, log_metrics, state_metrics, window_metrics
from vbatch.scheduler.core.state.state import State, evolve

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
BATCH, LLAMA = BatchId("batch_1"), ModelId("llama")
HOUR = 3_600.0


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def created() -> e.BatchCreated:
    return e.BatchCreated(
        at=NOON,
        batch_id=BATCH,
        owner=OwnerId("alice"),
        input_file_id=FileId("file-1"),
        endpoint="/v1/chat/completions",
        completion_window="1h",
        expires_at=at(HOUR),
    )


def validated() -> e.BatchValidated:
    total = e.ModelTotal(model=LLAMA, requests=3, input_bytes=300)
    return e.BatchValidated(at=at(1), batch_id=BATCH, total=3, last_line=3, models=(total,))


def dispatched(seconds: float) -> e.BatchDispatched:
    return e.BatchDispatched(
        at=at(seconds),
        batch_id=BATCH,
        slice_id=SliceId("s1"),
        runner_id=RunnerId("gpu0"),
        epoch=1,
        model=LLAMA,
        lines=(1, 2),
        attempt=1,
        reason="",
    )


def chunk(seconds: float, number: int) -> e.ChunkOutline:
    return e.ChunkOutline(
        at=at(seconds),
        batch_id=BATCH,
        slice_id=SliceId("s1"),
        runner_id=RunnerId("gpu0"),
        epoch=1,
        chunk=number,
        model=LLAMA,
        outcomes=(e.OutcomeOutline(number, 200),),
    )


def leased() -> e.RunnerLeased:
    return e.RunnerLeased(at=NOON, runner_id=RunnerId("gpu0"), device="cpu", memory_bytes=1, pid=1)


def registered() -> e.ModelRegistered:
    return e.ModelRegistered(at=NOON, model=ModelDefinition(id=LLAMA, engine=EngineKind.SIMULATED))


def folded(*events: e.AnyEvent) -> State:
    state = State()
    for sequence, event in enumerate(events, 1):
        evolve(state, event, sequence)
    return state


def observed(*events: e.AnyEvent) -> CollectorRegistry:
    """Each event is seen before it is folded, as the scheduler does it."""
    state, registry = State(), CollectorRegistry()
    times = BatchTimes(state, registry)
    for sequence, event in enumerate(events, 1):
        times.observe(event)
        evolve(state, event, sequence)
    return registry


def samples(*metrics: Metric) -> dict[tuple[str, ...], float]:
    return {(each.name, *each.labels.values()): each.value for metric in metrics for each in metric.samples}


RUN = (leased(), registered(), created(), validated(), dispatched(5), chunk(9, 1), chunk(10, 2))


def test_the_queue_of_a_model_is_as_long_as_what_waits_and_as_old_as_its_oldest_batch():
    told = samples(*state_metrics(folded(registered(), created(), validated()), at(60)))
    assert told["vbatch_model_requests_waiting", "llama"] == 3
    assert told["vbatch_model_oldest_wait_seconds", "llama"] == 60


def test_the_queue_of_a_model_without_work_is_empty_and_not_absent():
    told = samples(*state_metrics(folded(registered()), at(60)))
    assert told["vbatch_model_requests_waiting", "llama"] == 0
    assert told["vbatch_model_oldest_wait_seconds", "llama"] == 0


def entry_of(ends_at: datetime | None, *, feasible: bool = True) -> Forecast:
    batch = ForecastEntry(
        batch_id=BATCH,
        owner=OwnerId("alice"),
        model=LLAMA,
        status=BatchStatus.IN_PROGRESS,
        priority=0,
        is_paused=False,
        waiting_requests=3,
        runs_now=False,
        ends_at=ends_at,
        admission=None if ends_at is None else Admission(feasible=feasible, earliest_completion_window="2h"),
    )
    return Forecast(at=NOON, batches=(batch,))


def test_slack_is_what_is_left_of_the_window_after_the_foretold_end():
    told = samples(*window_metrics(entry_of(at(HOUR - 600)), folded(created())))
    assert told["vbatch_batch_slack_seconds", "llama"] == 600
    assert told["vbatch_batches_at_risk",] == 0


def test_a_batch_that_is_foretold_to_be_late_is_at_risk_with_negative_slack():
    told = samples(*window_metrics(entry_of(at(HOUR + 60), feasible=False), folded(created())))
    assert told["vbatch_batch_slack_seconds", "llama"] == -60
    assert told["vbatch_batches_at_risk",] == 1


def test_a_batch_whose_end_is_not_foretold_has_no_slack():
    told = samples(*window_metrics(entry_of(None), folded(created())))
    assert [key for key in told if key[0] == "vbatch_batch_slack_seconds"] == []


def test_the_first_answer_is_counted_once():
    registry = observed(*RUN)
    assert registry.get_sample_value("vbatch_batch_first_answer_seconds_count", {"model": "llama"}) == 1
    assert registry.get_sample_value("vbatch_batch_first_answer_seconds_sum", {"model": "llama"}) == 9


def test_the_first_dispatch_is_counted_once_and_every_request_that_is_sent():
    registry = observed(*RUN, dispatched(20))
    assert registry.get_sample_value("vbatch_batch_first_dispatch_seconds_sum", {"model": "llama"}) == 5
    assert registry.get_sample_value("vbatch_dispatched_requests_total", {"model": "llama"}) == 4


def test_an_end_says_how_much_of_the_window_it_took():
    end = e.BatchFinalizing(at=at(HOUR / 2), batch_id=BATCH, ending=e.Ending.COMPLETED, never_ran_count=0)
    registry = observed(*RUN, end)
    assert registry.get_sample_value("vbatch_batch_window_ratio_sum", {"ending": "completed"}) == 0.5
    assert registry.get_sample_value("vbatch_batches_ended_total", {"ending": "completed"}) == 1


def test_every_ending_is_told_before_it_happens():
    registry = observed()
    for ending in ("completed", "cancelled", "expired", "failed"):
        assert registry.get_sample_value("vbatch_batches_ended_total", {"ending": ending}) == 0


def test_the_log_is_told_with_its_limit_and_how_far_its_reader_is():
    told = samples(*log_metrics(Fill(40, 100), head=9, sequence=7))
    assert (told["vbatch_log_bytes",], told["vbatch_log_limit_bytes",]) == (40, 100)
    assert told["vbatch_scheduler_lag_events",] == 2
