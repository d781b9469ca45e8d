"""Records, lists and withdraws judgements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from vbatch.contracts import events as e
from vbatch.contracts.curation import Selection
from vbatch.contracts.ids import BatchId, JudgementId, OwnerId, derived_judgement_id, new_judgement_id
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.curation.agreement_views import AgreementObject, agreement_view
from vbatch.gateway.core.curation.judgements import (
    AnswerKey,
    JudgementEvent,
    JudgementRecord,
    JudgementsListParams,
    JudgementsParams,
    judgement_event,
    must_be_answered,
    no_such_judgement,
)
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.writing import append, append_all, must_read
from vbatch.gateway.ports import CurationReads, Dependencies
from vbatch.journal.port import Conflict


class Judgements:
    def __init__(self, dependencies: Dependencies, reads: CurationReads) -> None:
        self._dependencies = dependencies
        self._reads = reads

    async def record(self, caller: Caller, params: JudgementsParams, key: str | None) -> list[JudgementRecord]:
        """Record all of them or none; the same `key` records them once. Raises Refusal for a line without an answer."""
        await self._must_be_answered(caller.owner, params.answers)
        events = self._events(caller, params, key)
        await must_read(self._dependencies, await self._append(events))
        return await self._reads.judgements_named(caller.owner, [event.judgement_id for event in events])

    async def page(self, owner: OwnerId, params: JudgementsListParams) -> list[JudgementRecord]:
        """Return one more than `params.limit`, if there are more."""
        return await self._reads.judgements(owner, params)

    async def agreement(self, owner: OwnerId, batch_ids: Sequence[BatchId]) -> AgreementObject:
        """Return how well the judges of these batches agree. Raises Refusal for a batch that does not exist."""
        for batch_id in batch_ids:
            await find_batch(self._dependencies, owner, batch_id)
        head = await self._dependencies.log.last_sequence()
        records = await self._reads.judgements_until(owner, batch_ids, head)
        return await asyncio.to_thread(agreement_view, records, Selection(batch_ids=tuple(batch_ids)))

    async def withdraw(self, caller: Caller, judgement_id: str) -> JudgementId:
        """Withdraw the judgement. Raises Refusal if it does not exist, or was withdrawn before."""
        records = await self._reads.judgements_named(caller.owner, [JudgementId(judgement_id)])
        if not records:
            raise no_such_judgement(judgement_id)
        [record] = records
        event = e.JudgementWithdrawn(
            at=self._dependencies.now(),
            judgement_id=record.id,
            owner=caller.owner,
            batch_id=record.batch_id,
            by=caller.name,
        )
        await must_read(self._dependencies, await append(self._dependencies, event))
        return record.id

    async def _must_be_answered(self, owner: OwnerId, answers: Sequence[AnswerKey]) -> None:
        for batch_id in dict.fromkeys(answer.batch_id for answer in answers):
            batch = await find_batch(self._dependencies, owner, batch_id)
            wanted = [answer for answer in answers if answer.batch_id == batch_id]
            found = await self._reads.answered(batch, [answer.line for answer in wanted])
            lines = {each.line for each in found}
            for answer in wanted:
                must_be_answered(answer, lines)

    def _events(self, caller: Caller, params: JudgementsParams, key: str | None) -> list[JudgementEvent]:
        now = self._dependencies.now()
        return [
            judgement_event(
                said,
                self._new_id(caller.owner, key, place),
                owner=caller.owner,
                judge=params.judge or caller.name,
                source=params.source,
                at=now,
            )
            for place, said in enumerate(params.said)
        ]

    def _new_id(self, owner: OwnerId, key: str | None, place: int) -> JudgementId:
        if key is None:
            return new_judgement_id(self._dependencies.entropy(16))
        return derived_judgement_id(owner, key, str(place))

    async def _append(self, events: Sequence[JudgementEvent]) -> int:
        if len(events) == 1:
            return await append(self._dependencies, events[0])
        try:
            return await append_all(self._dependencies, events)
        except Conflict:  # a repeated request: the log holds some of them already, and stores the others now
            return max([await append(self._dependencies, event) for event in events])
