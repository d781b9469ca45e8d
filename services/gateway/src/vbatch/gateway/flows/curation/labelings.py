"""Labelings: answers are chosen and handed to Label Studio, which the labeler does; and how far it is."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import msgspec

from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, LabelingId, OwnerId, labeling_id_of
from vbatch.contracts.labeling import ITEMS
from vbatch.contracts.subjects import labeling_events
from vbatch.gateway.core.access import Caller
from vbatch.gateway.core.curation.examples import Exchange, exchanges_of
from vbatch.gateway.core.curation.labelings import (
    TITLE_CHARS_MAX,
    Chosen,
    LabelingAsk,
    LabelingRecord,
    chosen_items,
    model_versions,
    no_such_labeling,
)
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.curation.answered import answered_lines
from vbatch.gateway.flows.writing import append, must_read
from vbatch.gateway.ports import CurationReads, Dependencies
from vbatch.journal.port import Conflict, Guard

REVISION = "revision"
"""The argument of an engine that names one version of a model."""
_ENCODER = msgspec.json.Encoder()


class Labelings:
    def __init__(self, dependencies: Dependencies, reads: CurationReads) -> None:
        self._dependencies = dependencies
        self._reads = reads

    async def push(self, caller: Caller, params: LabelingAsk) -> LabelingRecord:
        """A labeling, whose items the labeler sends from now on. The same `request_id` asks for the same one.

        Raises Refusal where no answer fits.
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
        """The newest first."""
        return await self._reads.labelings(owner, None)

    async def _requested(self, caller: Caller, params: LabelingAsk, labeling_id: LabelingId) -> e.LabelingRequested:
        """The items are durable before any event names them."""
        chosen = await self._chosen(caller.owner, params)
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

    async def _chosen(self, owner: OwnerId, params: LabelingAsk) -> Chosen:
        exchanges: list[Exchange] = []
        for batch_id in params.batch_ids:
            batch = await find_batch(self._dependencies, owner, batch_id)
            lines = await self._reads.answered_all(batch)
            if params.is_unjudged:
                lines = await self._unjudged(owner, batch.id, lines)
            async for page in answered_lines(self._dependencies, self._reads, owner, batch, lines):
                found, _ = await asyncio.to_thread(exchanges_of, page)
                exchanges += found.values()
        return await asyncio.to_thread(chosen_items, exchanges, params, await self._versions())

    async def _unjudged(self, owner: OwnerId, batch_id: BatchId, lines: Sequence[int]) -> list[int]:
        head = await self._dependencies.log.last_sequence()
        judged = await self._reads.judgements_until(owner, [batch_id], head)
        return sorted(set(lines) - {record.line for record in judged})

    async def _versions(self) -> dict[str, str]:
        definitions = [defined.definition for defined in await self._dependencies.reads.defined_models()]
        return model_versions(
            [
                (each.id, _ENCODER.encode(each), str(each.arguments[REVISION]) if REVISION in each.arguments else None)
                for each in definitions
            ]
        )
