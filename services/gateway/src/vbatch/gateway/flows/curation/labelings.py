"""Labelings: answers are chosen here, the labeler hands them to Label Studio, and the progress is reported."""

from __future__ import annotations

import hashlib

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.ids import LabelingId, OwnerId, labeling_id_of
from vbatch.contracts.labeling import ITEMS
from vbatch.contracts.subjects import labeling_events
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.curation.labelings import (
    TITLE_CHARS_MAX,
    LabelingParams,
    LabelingRecord,
    no_such_labeling,
)
from vbatch.gateway.flows.curation.choosing import chosen_answers
from vbatch.gateway.flows.writing import append, must_read
from vbatch.gateway.ports import CurationReads, Dependencies
from vbatch.journal.port import Conflict, Guard

_ENCODER = msgspec.json.Encoder()


class Labelings:
    def __init__(self, dependencies: Dependencies, reads: CurationReads) -> None:
        self._dependencies = dependencies
        self._reads = reads

    async def push(self, caller: Caller, params: LabelingParams) -> LabelingRecord:
        """Return a new labeling, whose items the labeler starts to send. The same `request_id` returns the same
        labeling.

        Raises Refusal if no answer matches.
        """
        request_id = params.request_id or self._dependencies.entropy(16).hex()
        labeling_id = labeling_id_of(caller.owner, request_id)
        subjects = labeling_events(labeling_id)
        newest = await self._dependencies.log.last(subjects)
        if newest is None:
            await self._request_once(await self._requested(caller, params, labeling_id), subjects)
            newest = await self._dependencies.log.last(subjects)
        if newest is not None:
            await must_read(self._dependencies, newest.sequence)
        return await self.find(caller.owner, labeling_id)

    async def find(self, owner: OwnerId, labeling_id: str) -> LabelingRecord:
        """Raises Refusal."""
        found = await self._reads.labelings(owner, LabelingId(labeling_id))
        if not found:
            raise no_such_labeling(labeling_id)
        return found[0]

    async def page(self, owner: OwnerId) -> list[LabelingRecord]:
        """Return the labelings, newest first."""
        return await self._reads.labelings(owner, None)

    async def _requested(self, caller: Caller, params: LabelingParams, labeling_id: LabelingId) -> e.LabelingRequested:
        """Return the event that requests a labeling; the items are durable before any event names them."""
        chosen = await chosen_answers(self._dependencies, self._reads, caller.owner, params)
        content = b"".join(_ENCODER.encode(item) + b"\n" for item in chosen.items)
        await self._dependencies.disk_guard.check(len(content))
        blob = f"{ITEMS}/{labeling_id}"
        async with self._dependencies.blobs.writer(blob) as writer:
            await writer.write(content)
        return e.LabelingRequested(
            at=self._dependencies.now(),
            owner=caller.owner,
            labeling_id=labeling_id,
            title=params.title or f"{chosen.template} {params.batch_ids[0]}"[:TITLE_CHARS_MAX],
            template=chosen.template,
            batch_ids=params.batch_ids,
            item_count=len(chosen.items),
            blob=blob,
            sha256=hashlib.sha256(content).hexdigest(),
            by=caller.name,
            labels=chosen.labels,
            project_id=params.project_id,
        )

    async def _request_once(self, event: e.LabelingRequested, subjects: str) -> None:
        try:
            await must_read(self._dependencies, await append(self._dependencies, event, Guard(subjects, 0)))
        except Conflict:
            pass  # the same request was made twice at the same moment
