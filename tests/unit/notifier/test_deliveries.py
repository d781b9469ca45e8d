"""From the log to what is due, tried and said: folds and decisions without a network."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from hypothesis import given, strategies as st

from tests.support.events import BATCH, BATCH_CREATED, DELIVERY, ENDPOINT, KEY, MODEL, NOON, SAMPLES, WEBHOOK_CREATED
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, DeliveryId, EndpointId, OwnerId
from vbatch.contracts.webhooks import DELIVERIES_KEPT, DeliveryFault, DeliveryStatus
from vbatch.notifier.adapters.pages import page_of
from vbatch.notifier.core.decide import IN_FLIGHT_MAX, IN_FLIGHT_OF_ENDPOINT_MAX, after_try, next_moment, to_try
from vbatch.notifier.core.schedule import WAITS, Answer
from vbatch.notifier.core.state import Delivery, State, evolve

COMPLETED = next(event for event in SAMPLES if isinstance(event, e.BatchCompleted))
SOON = NOON + timedelta(seconds=2)
TAKEN, REFUSED, GONE = Answer(7, status_code=200, body="ok"), Answer(7, status_code=500), Answer(7, status_code=410)


def state_of(*events: e.Event) -> State:
    state = State()
    for event in events:
        evolve(state, event, state.sequence + 1)
    return state


def tell(state: State, *events: e.Event) -> None:
    for event in events:
        evolve(state, event, state.sequence + 1)


def queue_due(state: State) -> None:
    tell(state, *list(state.due.values()))


def the_delivery(state: State) -> Delivery:
    [deliveries] = state.deliveries.values()
    return list(deliveries.values())[-1]


def try_once(state: State, answer: Answer, at: datetime) -> list[e.Event]:
    delivery = the_delivery(state)
    events = after_try(state.endpoints[delivery.queued.endpoint_id], delivery, answer, at)
    tell(state, *events)
    return events


def waiting() -> State:
    """One delivery that waits for its first try."""
    state = state_of(WEBHOOK_CREATED, BATCH_CREATED, COMPLETED)
    queue_due(state)
    return state


def test_the_end_of_a_batch_is_due_to_the_endpoints_of_its_owner():
    other = msgspec.structs.replace(WEBHOOK_CREATED, endpoint_id=EndpointId("we_other"), owner=OwnerId("bob"))
    state = state_of(WEBHOOK_CREATED, other, BATCH_CREATED, COMPLETED)
    [due] = state.due.values()
    assert (due.endpoint_id, due.event_type) == (ENDPOINT, "batch.completed")
    assert msgspec.json.decode(due.body)["data"] == {"id": BATCH}


def test_what_happened_before_an_endpoint_was_made_or_is_not_its_subject_is_not_due():
    assert state_of(BATCH_CREATED, COMPLETED, WEBHOOK_CREATED).due == {}
    failed_only = msgspec.structs.replace(WEBHOOK_CREATED, event_types=("batch.failed",))
    assert state_of(failed_only, BATCH_CREATED, COMPLETED).due == {}


def test_a_model_that_fails_is_told_to_whoever_wants_it():
    wants = msgspec.structs.replace(WEBHOOK_CREATED, event_types=("vbatch.model.failed",))
    failed = next(event for event in SAMPLES if isinstance(event, e.ModelFailed))
    [due] = state_of(wants, failed).due.values()
    assert msgspec.json.decode(due.body)["data"] == {"id": MODEL}


def test_a_flaw_in_too_many_answers_is_told_once_for_each_flaw_while_the_batch_runs():
    wants = msgspec.structs.replace(WEBHOOK_CREATED, event_types=("vbatch.batch.quality_dropped",))
    flaws = (e.Flaw.EMPTY, e.Flaw.REFUSED)
    dropped = [
        e.BatchQualityDropped(at=NOON, batch_id=BATCH, flaw=flaw, count=9, answers=20, share_max=0.3) for flaw in flaws
    ]
    due = list(state_of(wants, BATCH_CREATED, *dropped, COMPLETED).due.values())
    assert [each.event_type for each in due] == ["vbatch.batch.quality_dropped"] * 2
    assert {msgspec.json.decode(each.body)["data"]["id"] for each in due} == {BATCH}
    assert len({each.delivery_id for each in due}) == 2


def test_the_first_answer_is_told_while_the_batch_runs():
    wants = msgspec.structs.replace(WEBHOOK_CREATED, event_types=("vbatch.batch.first_answer",))
    first = e.BatchFirstAnswered(at=NOON, batch_id=BATCH)
    [due] = state_of(wants, BATCH_CREATED, first, COMPLETED).due.values()
    assert (due.event_type, msgspec.json.decode(due.body)["data"]) == ("vbatch.batch.first_answer", {"id": BATCH})


def test_too_many_errors_are_told_while_the_batch_runs():
    wants = msgspec.structs.replace(WEBHOOK_CREATED, event_types=("vbatch.batch.error_share",))
    exceeded = next(event for event in SAMPLES if isinstance(event, e.BatchErrorShareExceeded))
    [due] = state_of(wants, BATCH_CREATED, exceeded, COMPLETED).due.values()
    assert (due.event_type, msgspec.json.decode(due.body)["data"]) == ("vbatch.batch.error_share", {"id": BATCH})


def test_reading_the_log_again_makes_the_same_ids_and_bytes():
    first, second = (state_of(WEBHOOK_CREATED, BATCH_CREATED, COMPLETED).due for _ in range(2))
    assert first == second != {}


def test_a_delivery_waits_a_moment_and_is_then_tried():
    state = waiting()
    assert state.due == {}
    assert to_try(state, set(), NOON) == []
    assert next_moment(state, NOON) == NOON + timedelta(seconds=1)
    assert [each.queued.event_type for each in to_try(state, set(), SOON)] == ["batch.completed"]


def test_a_delivery_that_was_taken_is_over():
    state = waiting()
    [delivered] = try_once(state, TAKEN, SOON)
    assert isinstance(delivered, e.WebhookDelivered) and delivered.attempt == 1
    assert the_delivery(state).status is DeliveryStatus.DELIVERED
    assert to_try(state, set(), SOON + timedelta(days=9)) == []


def test_a_failed_delivery_is_tried_until_its_tries_are_used_up():
    state, now = waiting(), SOON
    for attempt in range(1, len(WAITS)):
        events = try_once(state, REFUSED, now)
        assert isinstance(events[0], e.WebhookFailed) and events[0].attempt == attempt
        now = the_delivery(state).next_at or now
    events = try_once(state, REFUSED, now)
    assert [type(event) for event in events][:2] == [e.WebhookFailed, e.WebhookExhausted]
    assert the_delivery(state).status is DeliveryStatus.FAILED


def test_a_resend_begins_the_tries_again_under_the_same_id():
    state = waiting()
    try_once(state, TAKEN, SOON)
    before = the_delivery(state).queued
    tell(state, e.WebhookResendAsked(at=SOON, endpoint_id=ENDPOINT, delivery_id=before.delivery_id, by=KEY))
    [again] = to_try(state, set(), SOON)
    assert (again.queued, again.tries) == (before, 0)
    [delivered] = try_once(state, TAKEN, SOON)
    assert isinstance(delivered, e.WebhookDelivered) and delivered.attempt == 2


def test_a_dead_letter_that_is_sent_again_is_tried_again():
    state = waiting()
    for _ in WAITS:
        try_once(state, REFUSED, SOON)
    assert the_delivery(state).next_at is None
    tell(state, e.WebhookEnabled(at=SOON, endpoint_id=ENDPOINT, by=KEY), the_delivery(state).queued)
    assert len(to_try(state, set(), SOON)) == 1


def test_a_test_is_tried_once():
    asked = e.WebhookTestAsked(at=NOON, endpoint_id=ENDPOINT, delivery_id=DELIVERY, event_type="batch.failed", by=KEY)
    state = state_of(WEBHOOK_CREATED, asked)
    queue_due(state)
    [failed] = try_once(state, Answer(3, fault=DeliveryFault.NO_ANSWER), NOON)
    assert isinstance(failed, e.WebhookFailed) and (failed.next_at, failed.error) == (None, "no_answer")
    assert state.endpoints[ENDPOINT].failures_in_a_row == 0


def test_an_endpoint_that_is_gone_is_disabled_and_told_nothing_more():
    state = waiting()
    events = try_once(state, GONE, SOON)
    assert [type(event) for event in events] == [e.WebhookFailed, e.WebhookDisabled]
    tell(state, msgspec.structs.replace(BATCH_CREATED, batch_id=BatchId("batch_b")))
    tell(state, msgspec.structs.replace(COMPLETED, batch_id=BatchId("batch_b")))
    assert state.due == {}


def test_what_waits_for_a_disabled_endpoint_is_sent_once_it_is_enabled():
    state = waiting()
    tell(state, e.WebhookDisabled(at=NOON, endpoint_id=ENDPOINT, by="notifier", reason="tired"))
    assert to_try(state, set(), SOON) == []
    tell(state, e.WebhookEnabled(at=SOON, endpoint_id=ENDPOINT, by=KEY))
    assert len(to_try(state, set(), SOON)) == 1


def test_a_success_clears_the_count_of_failures():
    state = waiting()
    try_once(state, REFUSED, SOON)
    assert state.endpoints[ENDPOINT].failures_in_a_row == 1
    try_once(state, TAKEN, SOON)
    assert (state.endpoints[ENDPOINT].failures_in_a_row, state.endpoints[ENDPOINT].failing_since) == (0, None)


def test_a_deleted_endpoint_leaves_nothing_to_send():
    state = state_of(WEBHOOK_CREATED, BATCH_CREATED, COMPLETED)
    tell(state, e.WebhookDeleted(at=NOON, endpoint_id=ENDPOINT, by=KEY))
    assert (state.due, state.deliveries, page_of(state, ENDPOINT)) == ({}, {}, None)


def test_the_old_secret_signs_as_well_until_its_end():
    rotated = next(event for event in SAMPLES if isinstance(event, e.WebhookSecretRotated))
    endpoint = state_of(WEBHOOK_CREATED, rotated).endpoints[ENDPOINT]
    assert endpoint.secret_refs(NOON) == [rotated.secret_ref, WEBHOOK_CREATED.secret_ref]
    assert endpoint.secret_refs(NOON + timedelta(hours=24)) == [rotated.secret_ref]


def test_the_page_shows_the_newest_first_and_no_more_than_are_kept():
    state = state_of(WEBHOOK_CREATED)
    for number in range(DELIVERIES_KEPT + 5):
        queued = e.WebhookQueued(
            at=NOON,
            endpoint_id=ENDPOINT,
            delivery_id=DeliveryId(f"evt_{number}"),
            event_type="batch.failed",
            body="{}",
        )
        tell(state, queued)
        try_once(state, TAKEN, SOON)
    page = page_of(state, ENDPOINT)
    assert page is not None and len(page.deliveries) == DELIVERIES_KEPT
    assert page.deliveries[0].delivery_id == f"evt_{DELIVERIES_KEPT + 4}"


@given(st.lists(st.integers(0, 40), max_size=120), st.integers(0, IN_FLIGHT_MAX))
def test_no_more_is_in_flight_than_may_be(endpoint_numbers: list[int], busy: int):
    state = State()
    for place, number in enumerate(endpoint_numbers):
        endpoint_id = EndpointId(f"we_{number}")
        tell(state, msgspec.structs.replace(WEBHOOK_CREATED, endpoint_id=endpoint_id))
        tell(
            state,
            e.WebhookQueued(
                at=NOON, endpoint_id=endpoint_id, delivery_id=DeliveryId(f"evt_{place}"), event_type="x", body="{}"
            ),
        )
    in_flight = {(EndpointId(f"we_busy{number}"), DeliveryId("evt_x")) for number in range(busy)}
    chosen = to_try(state, in_flight, SOON)
    assert len(chosen) + busy <= IN_FLIGHT_MAX
    of_one = [each.queued.endpoint_id for each in chosen]
    assert all(of_one.count(each) <= IN_FLIGHT_OF_ENDPOINT_MAX for each in of_one)
