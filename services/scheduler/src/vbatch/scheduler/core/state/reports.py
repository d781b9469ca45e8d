"""What was reported about a batch while it runs, and which owners want to be told of its first answer: those with a
webhook endpoint for it. For the others, no first answer is recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from vbatch.contracts import events as e
from vbatch.contracts.ids import EndpointId, OwnerId
from vbatch.contracts.webhooks import WebhookEventType
from vbatch.scheduler.core.state.pending_batch import PendingBatch


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

    def look_at(self, batch: PendingBatch) -> None:
        """Note whether the batch has an answer. Its owner is told if the owner wants it at this moment."""
        batch.has_answer = batch.ledger is not None and batch.ledger.completed > 0
        batch.owes_first_answer = batch.has_answer and self._are_of(batch.created.owner)

    def _are_of(self, owner: OwnerId) -> bool:
        return any(self._owners[endpoint_id] == owner for endpoint_id in self._wishing)

    def _note(self, endpoint_id: EndpointId, event_types: tuple[str, ...]) -> None:
        if WebhookEventType.BATCH_FIRST_ANSWER in event_types and endpoint_id in self._owners:
            self._wishing.add(endpoint_id)
        else:
            self._wishing.discard(endpoint_id)


def note_report(batch: PendingBatch, event: e.BatchFirstAnswered | e.QualityEvent) -> None:
    """Note what is recorded, so that it is recorded once."""
    match event:
        case e.BatchFirstAnswered():
            batch.owes_first_answer = False
        case e.BatchQualityDropped():
            batch.flaws_told.add(event.flaw)
        case e.BatchErrorShareExceeded():
            batch.is_error_share_told = True
        case _:
            assert_never(event)
