"""Endpoints and deliveries, folded from the log. Deliveries that are due but not queued yet are kept apart: this
process queues them once it has read everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, DeliveryId, EndpointId, OwnerId, delivery_id_of
from vbatch.contracts.webhooks import DELIVERIES_KEPT, DeliveryEntry, DeliveryStatus
from vbatch.notifier.core.payloads import News, body_of, news_of, subject_of_test
from vbatch.notifier.core.schedule import SETTLE_SECONDS

ENDED = (e.BatchRejected, e.BatchSealed)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`old_secret_ref` also signs until `old_valid_until`. Failures are counted since the last success."""

    id: EndpointId
    owner: OwnerId
    url: str
    event_types: tuple[str, ...]
    secret_ref: str
    old_secret_ref: str | None = None
    old_valid_until: datetime | None = None
    is_enabled: bool = True
    failures_in_a_row: int = 0
    failing_since: datetime | None = None

    def secret_refs(self, now: datetime) -> list[str]:
        """The references of the valid secrets, newest first."""
        is_old_valid = self.old_valid_until is not None and now < self.old_valid_until
        return [self.secret_ref, *([self.old_secret_ref] if self.old_secret_ref and is_old_valid else [])]


@dataclass(frozen=True, slots=True)
class Delivery:
    """`attempts` counts all tries, `tries` those of this round; a resend begins a new round. The delivery waits while
    `next_at` is set."""

    queued: e.WebhookQueued
    sequence: int
    next_at: datetime | None
    attempts: int = 0
    tries: int = 0
    last: e.WebhookDelivered | e.WebhookFailed | None = None

    @property
    def status(self) -> DeliveryStatus:
        if self.next_at is not None:
            return DeliveryStatus.PENDING
        return DeliveryStatus.DELIVERED if isinstance(self.last, e.WebhookDelivered) else DeliveryStatus.FAILED


@dataclass
class State:
    """`due` holds what must be queued, in the order of the log."""

    sequence: int = 0
    endpoints: dict[EndpointId, Endpoint] = field(default_factory=dict)
    owners: dict[BatchId, OwnerId] = field(default_factory=dict)
    due: dict[DeliveryId, e.WebhookQueued] = field(default_factory=dict)
    deliveries: dict[EndpointId, dict[DeliveryId, Delivery]] = field(default_factory=dict)

    def waiting(self) -> Iterable[Delivery]:
        """The waiting deliveries of enabled endpoints."""
        for endpoint_id, deliveries in self.deliveries.items():
            if self.endpoints[endpoint_id].is_enabled:
                yield from (each for each in deliveries.values() if each.next_at is not None)

    def delivery(self, endpoint_id: EndpointId, delivery_id: DeliveryId) -> Delivery | None:
        return self.deliveries.get(endpoint_id, {}).get(delivery_id)


def evolve(state: State, event: e.Event, sequence: int) -> None:
    """Fold one event. An event of an endpoint that no longer exists changes nothing."""
    state.sequence = sequence
    match event:
        case e.WebhookCreated():
            _created(state, event)
        case e.WebhookUpdated() | e.WebhookDisabled() | e.WebhookEnabled() | e.WebhookSecretRotated():
            _changed(state, event)
        case e.WebhookDeleted():
            _deleted(state, event)
        case e.WebhookTestAsked() | e.WebhookResendAsked():
            _asked(state, event)
        case e.WebhookQueued():
            _queued(state, event, sequence)
        case e.WebhookDelivered() | e.WebhookFailed():
            _tried(state, event)
        case e.BatchCreated():
            state.owners[event.batch_id] = event.owner
        case _:
            _happened(state, event, sequence)


def entry(delivery: Delivery) -> DeliveryEntry:
    """The entry of a delivery in the list."""
    queued, last = delivery.queued, delivery.last
    return DeliveryEntry(
        delivery_id=queued.delivery_id,
        event_type=queued.event_type,
        status=delivery.status,
        body=queued.body,
        queued_at=queued.at,
        attempts=delivery.attempts,
        next_at=delivery.next_at,
        attempted_at=last.at if last else None,
        status_code=last.status_code if last else None,
        error=last.error if isinstance(last, e.WebhookFailed) else None,
        milliseconds=last.milliseconds if last else None,
        answer=last.answer if last else "",
    )


def _created(state: State, event: e.WebhookCreated) -> None:
    state.endpoints.setdefault(
        event.endpoint_id,
        Endpoint(event.endpoint_id, event.owner, event.url, event.event_types, event.secret_ref),
    )
    state.deliveries.setdefault(event.endpoint_id, {})


Change = e.WebhookUpdated | e.WebhookDisabled | e.WebhookEnabled | e.WebhookSecretRotated


def _changed(state: State, event: Change) -> None:
    endpoint = state.endpoints.get(event.endpoint_id)
    if endpoint is None:
        return
    match event:
        case e.WebhookUpdated():
            endpoint = replace(endpoint, url=event.url, event_types=event.event_types)
        case e.WebhookDisabled():
            endpoint = replace(endpoint, is_enabled=False)
        case e.WebhookEnabled():
            endpoint = replace(endpoint, is_enabled=True, failures_in_a_row=0, failing_since=None)
        case e.WebhookSecretRotated():
            old = endpoint.secret_ref if event.old_valid_until is not None else None
            endpoint = replace(
                endpoint, secret_ref=event.secret_ref, old_secret_ref=old, old_valid_until=event.old_valid_until
            )
    state.endpoints[endpoint.id] = endpoint


def _deleted(state: State, event: e.WebhookDeleted) -> None:
    state.endpoints.pop(event.endpoint_id, None)
    state.deliveries.pop(event.endpoint_id, None)
    state.due = {key: due for key, due in state.due.items() if due.endpoint_id != event.endpoint_id}


def _asked(state: State, event: e.WebhookTestAsked | e.WebhookResendAsked) -> None:
    match event:
        case e.WebhookTestAsked() if event.endpoint_id in state.endpoints:
            subject, seconds = subject_of_test(event.event_type), int(event.at.timestamp())
            state.due[event.delivery_id] = e.WebhookQueued(
                at=event.at,
                endpoint_id=event.endpoint_id,
                delivery_id=event.delivery_id,
                event_type=event.event_type,
                body=body_of(event.delivery_id, event.event_type, subject, seconds),
                is_test=True,
            )
        case e.WebhookResendAsked():
            _wait_again(state, state.delivery(event.endpoint_id, event.delivery_id), event.at)
        case _:
            pass


def _queued(state: State, event: e.WebhookQueued, sequence: int) -> None:
    state.due.pop(event.delivery_id, None)
    if event.endpoint_id not in state.endpoints:
        return
    known = state.delivery(event.endpoint_id, event.delivery_id)
    if known is not None:
        _wait_again(state, known, event.at)  # a dead letter that was sent again
        return
    wait = timedelta(0) if event.is_test else timedelta(seconds=SETTLE_SECONDS)
    deliveries = state.deliveries[event.endpoint_id]
    deliveries[event.delivery_id] = Delivery(event, sequence, event.at + wait)
    _forget_old(deliveries)


def _wait_again(state: State, delivery: Delivery | None, at: datetime) -> None:
    if delivery is not None and delivery.next_at is None:
        _keep(state, replace(delivery, next_at=at, tries=0))


def _tried(state: State, event: e.WebhookDelivered | e.WebhookFailed) -> None:
    delivery = state.delivery(event.endpoint_id, event.delivery_id)
    endpoint = state.endpoints.get(event.endpoint_id)
    if delivery is None or endpoint is None:
        return
    next_at = event.next_at if isinstance(event, e.WebhookFailed) else None
    _keep(state, replace(delivery, attempts=event.attempt, tries=delivery.tries + 1, next_at=next_at, last=event))
    if isinstance(event, e.WebhookDelivered):
        state.endpoints[endpoint.id] = replace(endpoint, failures_in_a_row=0, failing_since=None)
    elif not delivery.queued.is_test:
        since, count = endpoint.failing_since or event.at, endpoint.failures_in_a_row + 1
        state.endpoints[endpoint.id] = replace(endpoint, failures_in_a_row=count, failing_since=since)


def _keep(state: State, delivery: Delivery) -> None:
    state.deliveries[delivery.queued.endpoint_id][delivery.queued.delivery_id] = delivery


def _forget_old(deliveries: dict[DeliveryId, Delivery]) -> None:
    """Drop the oldest finished deliveries beyond the number that is kept."""
    excess = len(deliveries) - DELIVERIES_KEPT
    for delivery_id in [key for key, each in deliveries.items() if each.next_at is None][: max(0, excess)]:
        del deliveries[delivery_id]


def _happened(state: State, event: e.Event, sequence: int) -> None:
    news = news_of(event)
    if news is None:
        return
    owner = state.owners.get(news.batch_id) if news.batch_id is not None else None
    for endpoint in state.endpoints.values():
        is_meant = news.batch_id is None or endpoint.owner == owner
        if is_meant and endpoint.is_enabled and news.type in endpoint.event_types:
            queued = _due(endpoint, news, event.at, sequence)
            state.due[queued.delivery_id] = queued
    if isinstance(event, ENDED) and news.batch_id is not None:
        state.owners.pop(news.batch_id, None)


def _due(endpoint: Endpoint, news: News, at: datetime, sequence: int) -> e.WebhookQueued:
    delivery_id = delivery_id_of(sequence, endpoint.id)
    return e.WebhookQueued(
        at=at,
        endpoint_id=endpoint.id,
        delivery_id=delivery_id,
        event_type=news.type,
        body=body_of(delivery_id, news.type, news.subject_id, int(at.timestamp())),
    )
