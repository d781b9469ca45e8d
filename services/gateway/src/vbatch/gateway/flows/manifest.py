"""Reads the manifest of a batch."""

from __future__ import annotations

from vbatch.contracts.ids import OwnerId
from vbatch.gateway.core.batches.manifest import ManifestObject, manifest_view
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.ports import Dependencies


async def manifest_of(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> ManifestObject:
    """Return the manifest, which is not final while the batch runs. Raises Refusal if the batch is unknown."""
    batch = await find_batch(dependencies, owner, batch_id)
    named = [batch.input_file_id, batch.output_file_id, batch.error_file_id]
    digests = await dependencies.reads.digests(owner, [file_id for file_id in named if file_id is not None])
    return manifest_view(batch, batch.engines, {digest.id: digest for digest in digests})
