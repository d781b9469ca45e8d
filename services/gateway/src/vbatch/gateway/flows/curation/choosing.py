"""Chooses the answers to judge, for people in Label Studio or for a model."""

from __future__ import annotations

import asyncio

import msgspec

from vbatch.contracts.curation import Selection
from vbatch.contracts.endpoints import EMBEDDINGS
from vbatch.contracts.ids import BatchId, OwnerId
from vbatch.gateway.core.curation.doubts import Doubts, Order, doubts_of
from vbatch.gateway.core.curation.examples import Exchange, exchanges_of
from vbatch.gateway.core.curation.labelings import Chosen, LabelingParams, chosen_items, model_versions
from vbatch.gateway.core.curation.outliers import Embeddings, must_be_few, not_of_embeddings, outlying
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.curation.answered import answered_lines
from vbatch.gateway.ports import CurationReads, Dependencies

REVISION = "revision"
"""The argument of an engine that names one version of a model."""
_ENCODER = msgspec.json.Encoder()


async def chosen_answers(
    dependencies: Dependencies, reads: CurationReads, owner: OwnerId, params: LabelingParams
) -> Chosen:
    """Return the answers to judge. Raises Refusal if no answer matches, or if an answer is deleted."""
    exchanges: list[Exchange] = []
    for batch_id in params.batch_ids:
        batch = await find_batch(dependencies, owner, batch_id)
        lines = await reads.answered_all(batch)
        if params.is_unjudged:
            head = await dependencies.log.last_sequence()
            judged = await reads.judgements_until(owner, [batch.id], head)
            lines = sorted(set(lines) - {record.line for record in judged})
        async for page in answered_lines(dependencies, reads, owner, batch, lines):
            found, _ = await asyncio.to_thread(exchanges_of, page)
            exchanges += found.values()
    versions = await versions_of_models(dependencies)
    if params.embeddings is None:
        doubts = await _doubts(dependencies, reads, owner, params)
    else:
        embeddings = await _embeddings(dependencies, reads, owner, params.embeddings)
        doubts = await asyncio.to_thread(outlying, exchanges, embeddings, params.seed)
    return await asyncio.to_thread(chosen_items, exchanges, params, versions, doubts)


async def _doubts(dependencies: Dependencies, reads: CurationReads, owner: OwnerId, params: LabelingParams) -> Doubts:
    """Return what the judges of these batches have said so far, if the order depends on it."""
    if params.order is Order.DRAWN:
        return {}
    head = await dependencies.log.last_sequence()
    records = await reads.judgements_until(owner, params.batch_ids, head)
    return await asyncio.to_thread(doubts_of, records, Selection(batch_ids=params.batch_ids))


async def _embeddings(
    dependencies: Dependencies, reads: CurationReads, owner: OwnerId, batch_id: BatchId
) -> Embeddings:
    """Return the embeddings that a batch has made so far. Raises Refusal."""
    batch = await find_batch(dependencies, owner, batch_id)
    if batch.endpoint != EMBEDDINGS:
        raise not_of_embeddings(batch_id)
    lines = await reads.answered_all(batch)
    must_be_few(batch_id, len(lines))
    found = Embeddings(batch_id)
    async for page in answered_lines(dependencies, reads, owner, batch, lines):
        await asyncio.to_thread(found.add, page)
    return found


async def versions_of_models(dependencies: Dependencies) -> dict[str, str]:
    """Return `model@revision` of each model that is defined."""
    definitions = [defined.definition for defined in await dependencies.reads.defined_models()]
    return model_versions(
        [
            (each.id, _ENCODER.encode(each), str(each.arguments[REVISION]) if REVISION in each.arguments else None)
            for each in definitions
        ]
    )
