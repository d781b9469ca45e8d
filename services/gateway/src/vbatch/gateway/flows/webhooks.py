"""Creates, changes and tests webhook endpoints; the notifier reports what was sent to them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from vbatch.chassis.sealed import SealedFolder
from vbatch.contracts import events as e
from vbatch.contracts.codec import decode
from vbatch.contracts.ids import DeliveryId, EndpointId, asked_delivery_id, new_endpoint_id
from vbatch.contracts.subjects import attempt_events, webhook_events
from vbatch.contracts.webhooks import SECRET_BYTES, DeliveryEntry
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.refusals import Reason, Refusal, unavailable
from vbatch.gateway.core.webhook_attempts import ATTEMPTS_SHOWN_MAX, Attempt, attempt_of
from vbatch.gateway.core.webhooks import (
    OLD_SECRET_HOURS,
    Endpoint,
    EndpointParams,
    check_room,
    hint_of,
    update_event,
)
from vbatch.gateway.flows.access_feed import AccessFeed
from vbatch.gateway.flows.writing import append
from vbatch.gateway.ports import Deliveries, Dependencies

DISABLED_BY_HAND = "its owner disabled it"
TEST_SECONDS_MAX = 25.0
"""An attempt takes 15 s at most, and may wait for others in flight."""


class Webhooks:
    """`secrets` seals the secrets that sign deliveries; `deliveries` reads the notifier's page."""

    def __init__(
        self, dependencies: Dependencies, feed: AccessFeed, secrets: SealedFolder, deliveries: Deliveries
    ) -> None:
        self._dependencies = dependencies
        self._feed = feed
        self._secrets = secrets
        self._deliveries = deliveries

    def of(self, caller: Caller) -> list[Endpoint]:
        return self._feed.endpoints.of(caller.owner)

    def find(self, caller: Caller, endpoint_id: str) -> Endpoint:
        """Raises Refusal."""
        return self._feed.endpoints.find(caller.owner, endpoint_id)

    async def create(self, caller: Caller, params: EndpointParams) -> tuple[Endpoint, bytes]:
        """Return the endpoint and its secret, which is shown once. Raises Refusal."""
        check_room(self._feed.endpoints, caller.owner)
        assert params.name is not None and params.url is not None and params.event_types is not None
        reference, secret = await self._new_secret()
        event = e.WebhookCreated(
            at=self._dependencies.now(),
            endpoint_id=new_endpoint_id(self._dependencies.entropy(16)),
            owner=caller.owner,
            name=params.name,
            url=params.url,
            event_types=params.event_types,
            secret_ref=reference,
            secret_hint=hint_of(secret),
            by=caller.name,
        )
        await self._append(event)
        return self.find(caller, event.endpoint_id), secret

    async def update(self, caller: Caller, endpoint_id: str, params: EndpointParams) -> Endpoint:
        """Return the endpoint after the update; a request that changes nothing leaves it as it is. Raises Refusal."""
        event = update_event(self.find(caller, endpoint_id), params, by=caller.name, now=self._dependencies.now())
        if event is not None:
            await self._append(event)
        return self.find(caller, endpoint_id)

    async def delete(self, caller: Caller, endpoint_id: str) -> EndpointId:
        """Raises Refusal."""
        endpoint = self.find(caller, endpoint_id)
        await self._append(e.WebhookDeleted(at=self._dependencies.now(), endpoint_id=endpoint.id, by=caller.name))
        await self._forget(endpoint.secret_refs)
        return endpoint.id

    async def rotate(self, caller: Caller, endpoint_id: str, *, keeps_old: bool) -> tuple[Endpoint, bytes]:
        """Return the endpoint with a new secret; if requested, the old one also signs for one more day. Raises
        Refusal."""
        before, now = self.find(caller, endpoint_id), self._dependencies.now()
        reference, secret = await self._new_secret()
        event = e.WebhookSecretRotated(
            at=now,
            endpoint_id=before.id,
            secret_ref=reference,
            secret_hint=hint_of(secret),
            by=caller.name,
            old_valid_until=now + timedelta(hours=OLD_SECRET_HOURS) if keeps_old else None,
        )
        await self._append(event)
        after = self.find(caller, endpoint_id)
        await self._forget(tuple(each for each in before.secret_refs if each not in after.secret_refs))
        return after, secret

    async def enable(self, caller: Caller, endpoint_id: str) -> Endpoint:
        """Raises Refusal."""
        endpoint = self.find(caller, endpoint_id)
        if endpoint.disabled_reason is not None:
            await self._append(e.WebhookEnabled(at=self._dependencies.now(), endpoint_id=endpoint.id, by=caller.name))
        return self.find(caller, endpoint_id)

    async def disable(self, caller: Caller, endpoint_id: str) -> Endpoint:
        """Send nothing to the endpoint until it is enabled. Raises Refusal."""
        endpoint = self.find(caller, endpoint_id)
        if endpoint.disabled_reason is None:
            event = e.WebhookDisabled(
                at=self._dependencies.now(), endpoint_id=endpoint.id, by=caller.name, reason=DISABLED_BY_HAND
            )
            await self._append(event)
        return self.find(caller, endpoint_id)

    async def attempts(self, caller: Caller, endpoint_id: str, delivery_id: str) -> list[Attempt]:
        """Return the attempts of one delivery, oldest first, according to the log. Raises Refusal."""
        endpoint = self.find(caller, endpoint_id)
        subjects = attempt_events(endpoint.id)
        newest = [await self._dependencies.log.last(subject) for subject in subjects]
        head = max((record.sequence for record in newest if record is not None), default=0)
        found: list[Attempt] = []
        if not head:
            return found
        async with self._dependencies.log.tail(0, subjects) as tail:
            async for records in tail:
                events = (decode(record) for record in records)
                found += [attempt for event in events if (attempt := attempt_of(event, delivery_id)) is not None]
                if records[-1].sequence >= head:
                    break
        return found[-ATTEMPTS_SHOWN_MAX:]

    async def test(self, caller: Caller, endpoint_id: str, event_type: str) -> int:
        """Return the status code of the endpoint's answer. Raises Refusal when there is no answer at all."""
        endpoint = self.find(caller, endpoint_id)
        if endpoint.disabled_reason is not None:
            raise Refusal(Reason.WEBHOOK_UNANSWERED, "The endpoint is disabled: enable it first.")
        event = e.WebhookTestAsked(
            at=self._dependencies.now(),
            endpoint_id=endpoint.id,
            delivery_id=asked_delivery_id(self._dependencies.entropy(16)),
            event_type=event_type,
            by=caller.name,
        )
        tried = await self._tried(event, await append(self._dependencies, event))
        if tried.status_code is None:
            error = tried.error if isinstance(tried, e.WebhookFailed) else None
            raise Refusal(Reason.WEBHOOK_UNANSWERED, f"The endpoint gave no answer: {error}.")
        return tried.status_code

    async def deliveries(self, caller: Caller, endpoint_id: str) -> tuple[DeliveryEntry, ...]:
        """Return the newest deliveries, newest first. Raises Refusal, NotifierUnavailable."""
        page = await self._deliveries.page(self.find(caller, endpoint_id).id)
        return page.deliveries if page is not None else ()

    async def resend(self, caller: Caller, endpoint_id: str, delivery_id: str) -> DeliveryEntry:
        """Return the delivery, which is tried again. Raises Refusal, NotifierUnavailable."""
        endpoint = self.find(caller, endpoint_id)
        for entry in await self.deliveries(caller, endpoint_id):
            if entry.delivery_id == delivery_id:
                event = e.WebhookResendAsked(
                    at=self._dependencies.now(),
                    endpoint_id=endpoint.id,
                    delivery_id=DeliveryId(delivery_id),
                    by=caller.name,
                )
                await append(self._dependencies, event)
                return entry
        words = f"No delivery found with id '{delivery_id}' among the newest of this endpoint."
        raise Refusal(Reason.NO_SUCH_WEBHOOK, words, "delivery_id")

    async def _tried(self, asked: e.WebhookTestAsked, sequence: int) -> e.WebhookDelivered | e.WebhookFailed:
        """Return the result of the test, read from the log. Raises Refusal."""
        try:
            async with (
                asyncio.timeout(TEST_SECONDS_MAX),
                self._dependencies.log.tail(sequence, [webhook_events(asked.endpoint_id)]) as tail,
            ):
                async for records in tail:
                    for record in records:
                        event = decode(record)
                        if isinstance(event, e.WebhookDelivered | e.WebhookFailed) and _is_of(event, asked):
                            return event
        except TimeoutError:
            pass
        raise unavailable("The notifier has not tried the endpoint yet; the test is recorded.")

    async def _append(self, event: e.Event) -> None:
        """Append the event. Raises Refusal when the write succeeded but this gateway has not read it back yet."""
        sequence = await append(self._dependencies, event)
        if not await self._feed.reaches(sequence, self._dependencies.own_write_seconds_max):
            raise unavailable("Your request was recorded, but is not in force yet.")

    async def _new_secret(self) -> tuple[str, bytes]:
        """Return a new secret, which is sealed and durable before any event names it."""
        reference, secret = self._dependencies.entropy(16).hex(), self._dependencies.entropy(SECRET_BYTES)
        await asyncio.to_thread(self._secrets.keep, reference, secret)
        return reference, secret

    async def _forget(self, references: tuple[str, ...]) -> None:
        for reference in references:
            await asyncio.to_thread(self._secrets.forget, reference)


def _is_of(event: e.WebhookDelivered | e.WebhookFailed, asked: e.WebhookTestAsked) -> bool:
    return event.delivery_id == asked.delivery_id
