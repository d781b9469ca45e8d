"""The answers of a family as one JSONL: a batch with its direct and indirect retries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from vbatch.chassis.blobs import BlobMissing
from vbatch.contracts.ids import OwnerId
from vbatch.contracts.read_model import partial_results_path
from vbatch.gateway.core.merged_answers import Member, MergedPlace, MergedPlaces, runs
from vbatch.gateway.flows.batches import find_batch
from vbatch.gateway.flows.results import Results, answers_gone, sealed_files
from vbatch.gateway.ports import Dependencies

LINES_READ_AT_ONCE = 256


async def merged_results(dependencies: Dependencies, owner: OwnerId, batch_id: str) -> Results:
    """Return the answer that counts for each request of the batch's family, in the order of the oldest batch; a request
    that never ran in any of them is left out. Raises Refusal if the batch is unknown or a file of the family is
    deleted."""
    batch = await find_batch(dependencies, owner, batch_id)
    members = [Member(each) for each in await dependencies.reads.family(owner, batch.id)]
    places = await places_of(dependencies, owner, members)
    is_incomplete = any(not member.batch.is_over for member in members)
    return Results(is_incomplete, 0, _content(dependencies, members, places))


async def places_of(dependencies: Dependencies, owner: OwnerId, members: Sequence[Member]) -> MergedPlaces:
    """Return the places of the answers. Raises Refusal if a file of a member is deleted."""
    for member in members:
        await sealed_files(dependencies, owner, member.batch)
    return await dependencies.reads.merged(members)


async def _content(
    dependencies: Dependencies, members: Sequence[Member], places: MergedPlaces
) -> AsyncGenerator[bytes, None]:
    for page in places.pages(LINES_READ_AT_ONCE):
        yield b"".join(await lines_at(dependencies, members, page))


async def lines_at(dependencies: Dependencies, members: Sequence[Member], places: Sequence[MergedPlace]) -> list[bytes]:
    """Yield the output lines at these places, in their order. Raises Refusal when a file was deleted meanwhile."""
    lines: list[bytes] = []
    for member, run in runs(places):
        batch = members[member].batch
        path = partial_results_path(batch.id, batch.partial_folder)
        try:
            lines += await dependencies.partial.read_ranges(path, [(place.start, place.length) for place in run])
        except BlobMissing as error:
            raise answers_gone(batch, error) from error
    return lines
