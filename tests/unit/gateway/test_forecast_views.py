"""What is foretold of batches, as their owner may see it."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from tests.support.events import BATCH, BATCH_CREATED, MODEL, NOON, OWNER
from vbatch.contracts.forecast import Admission, BatchAhead, Explanation, Forecast, ForecastEntry
from vbatch.contracts.ids import BatchId, OwnerId
from vbatch.contracts.lifecycle import BatchStatus
from vbatch.gateway.core.forecast_views import BatchForecastObject, forecast_view, queue_view, why_view
from vbatch.gateway.core.records import batch_of

RUNNING = replace(batch_of(BATCH_CREATED, 1), status=BatchStatus.IN_PROGRESS)
STRANGER = OwnerId("stranger")
FORESEEN = ForecastEntry(
    batch_id=BATCH,
    owner=OWNER,
    model=MODEL,
    status=BatchStatus.IN_PROGRESS,
    priority=0,
    is_paused=False,
    waiting_requests=40,
    runs_now=False,
    position=2,
    requests_per_second=0.0,
    starts_at=NOON + timedelta(minutes=1),
    ends_at=NOON + timedelta(minutes=4),
    ends_at_earliest=NOON + timedelta(minutes=3),
    ends_at_latest=NOON + timedelta(minutes=6),
    admission=Admission(feasible=True, earliest_completion_window="1h"),
    waits_for="1 batch to run first, about 1 min",
)


def of_others(number: int) -> ForecastEntry:
    return msgspec.structs.replace(FORESEEN, batch_id=BatchId(f"batch_{number}"), owner=STRANGER, position=number)


def test_the_owner_sees_times_in_unix_seconds():
    seen, noon = forecast_view(RUNNING, FORESEEN), int(NOON.timestamp())
    assert seen.eta is not None and seen.eta.model_dump() == {
        "earliest": noon + 180,
        "likely": noon + 240,
        "latest": noon + 360,
        "is_guess": False,
    }
    assert (seen.queue_position, seen.waiting_for) == (2, "1 batch to run first, about 1 min")


@pytest.mark.parametrize("status", [BatchStatus.CANCELLING, BatchStatus.FINALIZING, BatchStatus.COMPLETED])
def test_nothing_is_foretold_of_a_batch_that_is_being_ended_or_is_over(status: BatchStatus):
    assert forecast_view(replace(RUNNING, status=status), FORESEEN) == BatchForecastObject()


def test_a_forecast_from_before_the_pause_is_not_shown_after_it():
    seen = forecast_view(replace(RUNNING, paused_at=NOON), FORESEEN)
    assert (seen.eta, seen.queue_position, seen.waiting_for, seen.admission) == (None, None, None, None)


def test_the_queue_shows_own_batches_in_order_and_counts_the_others():
    later = msgspec.structs.replace(FORESEEN, batch_id=BatchId("batch_later"), position=7)
    unknown = msgspec.structs.replace(FORESEEN, batch_id=BatchId("batch_unknown"), position=None)
    listed = queue_view(OWNER, Forecast(at=NOON, batches=(unknown, later, of_others(1), FORESEEN), more=3))
    assert [item.batch_id for item in listed.data] == [BATCH, "batch_later", "batch_unknown"]
    assert listed.others.model_dump() == {"batches": 4, "waiting_requests": 40}


def test_no_name_of_anothers_batch_is_ever_shown():
    first = tuple(BatchAhead(batch_id=BatchId(f"batch_{number}"), owner=STRANGER) for number in range(3))
    own = BatchAhead(batch_id=BatchId("batch_own"), owner=OWNER)
    told = Explanation(at=NOON, batch=FORESEEN, runs_first=(*first, own), more_first=5, remedies=("Wait.",))
    seen = why_view(OWNER, RUNNING, told, NOON)
    assert (seen.runs_first, seen.others_first, seen.remedies) == (["batch_own"], 8, ["Wait."])
    shown = seen.model_dump_json() + queue_view(OWNER, Forecast(at=NOON, batches=(of_others(1),))).model_dump_json()
    assert "batch_1" not in shown and STRANGER not in shown


def test_a_batch_that_is_over_waits_for_nothing():
    seen = why_view(OWNER, replace(RUNNING, status=BatchStatus.COMPLETED), None, NOON)
    assert seen.waiting_for == "nothing: it is completed"


def test_a_batch_that_the_scheduler_is_done_with_waits_for_its_files():
    seen = why_view(OWNER, replace(RUNNING, status=BatchStatus.FINALIZING), None, NOON)
    assert seen.waiting_for is not None and seen.waiting_for.startswith("its files")
