"""What to do now: which deliveries are tried, and what is recorded after a try."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from vbatch.contracts import events as e
from vbatch.contracts.ids import DeliveryId, EndpointId
from vbatch.notifier.core.schedule import Answer, Verdict, next_try, reason_to_disable, verdict
from vbatch.notifier.core.state import Delivery, Endpoint, State

IN_FLIGHT_MAX = 32
IN_FLIGHT_OF_ENDPOINT_MAX = 4
NOTIFIER = "notifier"


def to_try(state: State, in_flight: Collection[tuple[EndpointId, DeliveryId]], now: datetime) -> list[Delivery]:
    """The deliveries to try now, the longest due first, within the limits of what may be in flight."""
    busy = Counter(endpoint_id for endpoint_id, _ in in_flight)
    room = IN_FLIGHT_MAX - len(in_flight)
    chosen: list[Delivery] = []
    for delivery in sorted(_ripe(state, now), key=lambda each: (each.next_at, each.sequence)):
        key = (delivery.queued.endpoint_id, delivery.queued.delivery_id)
        if len(chosen) < room and key not in in_flight and busy[key[0]] < IN_FLIGHT_OF_ENDPOINT_MAX:
            busy[key[0]] += 1
            chosen.append(delivery)
    return chosen


def next_moment(state: State, now: datetime) -> datetime | None:
    """When the next delivery becomes due; None if no delivery waits for a later time."""
    return min((each.next_at for each in state.waiting() if each.next_at and each.next_at > now), default=None)


def after_try(endpoint: Endpoint, delivery: Delivery, answer: Answer, now: datetime) -> list[e.Event]:
    """The events of one try: its result, and the end of the delivery or the endpoint if it causes one."""
    queued, attempt = delivery.queued, delivery.attempts + 1
    if verdict(answer) is Verdict.DELIVERED:
        assert answer.status_code is not None
        return [
            e.WebhookDelivered(
                at=now,
                endpoint_id=endpoint.id,
                delivery_id=queued.delivery_id,
                attempt=attempt,
                status_code=answer.status_code,
                milliseconds=answer.milliseconds,
                answer=answer.body,
            )
        ]
    failed = _failed(endpoint, delivery, answer, now)
    if queued.is_test:
        return [failed]
    return [failed, *_exhausted(failed), *_disabled(endpoint, answer, now)]


def is_exhausted(events: Collection[e.Event]) -> bool:
    return any(isinstance(event, e.WebhookExhausted) for event in events)


def _ripe(state: State, now: datetime) -> list[Delivery]:
    return [each for each in state.waiting() if each.next_at is not None and each.next_at <= now]


def _failed(endpoint: Endpoint, delivery: Delivery, answer: Answer, now: datetime) -> e.WebhookFailed:
    is_last = delivery.queued.is_test or verdict(answer) is Verdict.GONE
    return e.WebhookFailed(
        at=now,
        endpoint_id=endpoint.id,
        delivery_id=delivery.queued.delivery_id,
        attempt=delivery.attempts + 1,
        milliseconds=answer.milliseconds,
        status_code=answer.status_code,
        error=answer.fault,
        answer=answer.body,
        next_at=None if is_last else next_try(delivery.queued.delivery_id, delivery.tries + 1, answer, now),
    )


def _exhausted(failed: e.WebhookFailed) -> list[e.Event]:
    if failed.next_at is not None or failed.status_code == 410:
        return []
    return [
        e.WebhookExhausted(
            at=failed.at, endpoint_id=failed.endpoint_id, delivery_id=failed.delivery_id, attempts=failed.attempt
        )
    ]


def _disabled(endpoint: Endpoint, answer: Answer, now: datetime) -> list[e.Event]:
    since = endpoint.failing_since or now
    reason = reason_to_disable(answer, endpoint.failures_in_a_row + 1, since, now)
    if reason is None or not endpoint.is_enabled:
        return []
    return [e.WebhookDisabled(at=now, endpoint_id=endpoint.id, by=NOTIFIER, reason=reason)]
