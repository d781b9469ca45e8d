"""Which owners want to be told of the first answer of a batch: those with a webhook endpoint for it. For the others,
nothing is recorded."""

from __future__ import annotations

from dataclasses import dataclass, field

from vbatch.contracts import events as e
from vbatch.contracts.ids import EndpointId, OwnerId
from vbatch.contracts.webhooks import WebhookEventType


@dataclass(slots=True)
class FirstAnswerWishes:
    """A disabled endpoint still counts: it is not sent anything, and may be enabled again."""

    _owners: dict[EndpointId, OwnerId] = field(default_factory=dict)
    _wishing: set[EndpointId] = field(default_factory=set)

    def fold(self, event: e.WebhookEvent) -> None:
        match event:
            case e.WebhookCreated():
                self._owners[event.endpoint_id] = event.owner
                self._note(event.endpoint_id, event.event_types)
            case e.WebhookUpdated():
                self._note(event.endpoint_id, event.event_types)
            case e.WebhookDeleted():
                self._owners.pop(event.endpoint_id, None)
                self._wishing.discard(event.endpoint_id)
            case _:
                pass  # a delivery, or a change that leaves the types as they are

    def are_of(self, owner: OwnerId) -> bool:
        """Whether this owner wants to be told."""
        return any(self._owners[endpoint_id] == owner for endpoint_id in self._wishing)

    def _note(self, endpoint_id: EndpointId, event_types: tuple[str, ...]) -> None:
        if WebhookEventType.BATCH_FIRST_ANSWER in event_types and endpoint_id in self._owners:
            self._wishing.add(endpoint_id)
        else:
            self._wishing.discard(endpoint_id)
