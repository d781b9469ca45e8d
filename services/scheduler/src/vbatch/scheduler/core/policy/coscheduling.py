"""Co-scheduling: requests of other batches that share prompt prefixes with the slice just sent run with it, while the
engine still holds those prefixes. Otherwise a second batch about the same documents would have every document
computed a second time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from vbatch.contracts.ids import BatchId, ModelId
from vbatch.scheduler.core.policy.policy import Candidate, View
from vbatch.scheduler.core.state.bisection import Picked
from vbatch.scheduler.core.state.pending_batch import FIRST, PendingBatch
from vbatch.scheduler.core.state.slices import Slice
from vbatch.scheduler.core.state.state import State

FOLLOWERS_PER_GROUP_MAX = 16
"""The limit for one batch behind one slice: a prefix that all requests share must not bring all of them along."""
BATCHES_MAX = 16
"""How many other batches are considered: those that arrived first."""


@dataclass(frozen=True, slots=True)
class CoScheduled:
    """Lines of another batch that run with the slice before them."""

    batch_id: BatchId
    picked: Picked
    reason: str


def coschedule(state: State, leader: Slice, view: View, limit: int) -> CoScheduled | None:
    """The lines to run with this slice: of its model, of no lower priority, at most `limit` lines."""
    batch = state.batches.get(leader.event.batch_id)
    if batch is None or batch.plan is None:
        return None
    groups = list(dict.fromkeys(batch.plan.groups_of(leader.lines)))
    if not groups:
        return None
    model = leader.event.model
    for other in _others(view, batch, model):
        if lines := followers(state.batches[other.batch_id], groups, limit, model):
            reason = f"{len(lines)} of its requests can reuse prompt prefixes of {batch.batch_id}"
            return CoScheduled(other.batch_id, Picked(lines, FIRST), reason)
    return None


def followers(batch: PendingBatch, groups: Iterable[int], limit: int, model: ModelId) -> tuple[int, ...]:
    """The lines of this batch for this model that are in these groups and were never sent, in the order of the
    groups."""
    if batch.plan is None:
        return ()
    plan = batch.plan
    grouped = ((line for line in plan.in_group(group) if plan.model_of(line) == model) for group in groups)
    alike = (islice(batch.never_sent(lines), FOLLOWERS_PER_GROUP_MAX) for lines in grouped)
    return tuple(islice((line for lines in alike for line in lines), limit))


def _others(view: View, leader: PendingBatch, model: ModelId) -> Iterator[Candidate]:
    alike = (
        other
        for other in sorted(view.candidates, key=lambda candidate: candidate.sequence)
        if other.model == model and other.batch_id != leader.batch_id and other.priority >= leader.steering.priority
    )
    return islice(alike, BATCHES_MAX)
