"""Requests of other batches that begin like those just sent: they run with them, while the engine still holds what they
share. Otherwise a second batch about the same documents would have every document computed a second time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from vbatch.contracts.ids import BatchId
from vbatch.scheduler.core.job import FIRST, Job
from vbatch.scheduler.core.policy import Candidate, View
from vbatch.scheduler.core.state import Slice, State
from vbatch.scheduler.core.suspicion import Picked

RIDERS_A_GROUP_MAX = 16
"""Of one batch, behind one slice: a text that everything begins with must not bring everything along."""
BATCHES_MAX = 16
"""So many other batches are looked at, those that arrived first."""


@dataclass(frozen=True, slots=True)
class Ride:
    """Lines of another batch that run with the slice before them."""

    batch_id: BatchId
    picked: Picked
    reason: str


def ride(state: State, driver: Slice, view: View, limit: int) -> Ride | None:
    """What shall run with this slice: of its model, of no lower priority, at most `limit` lines."""
    job = state.jobs.get(driver.event.batch_id)
    if job is None or job.plan is None:
        return None
    groups = list(dict.fromkeys(job.plan.groups_of(driver.lines)))
    if not groups:
        return None
    for other in _others(view, job):
        if lines := riders(state.jobs[other.batch_id], groups, limit):
            reason = f"{len(lines)} of its requests begin with texts that {job.batch_id} has just brought"
            return Ride(other.batch_id, Picked(lines, FIRST), reason)
    return None


def riders(job: Job, groups: Iterable[int], limit: int) -> tuple[int, ...]:
    """Lines of this batch that were never sent and are in these groups, in the order of the groups."""
    if job.plan is None:
        return ()
    plan = job.plan
    alike = (islice(job.never_sent(plan.in_group(group)), RIDERS_A_GROUP_MAX) for group in groups)
    return tuple(islice((line for lines in alike for line in lines), limit))


def _others(view: View, driver: Job) -> Iterator[Candidate]:
    alike = (
        it
        for it in sorted(view.candidates, key=lambda it: it.sequence)
        if it.model == driver.model and it.batch_id != driver.batch_id and it.priority >= driver.steering.priority
    )
    return islice(alike, BATCHES_MAX)
