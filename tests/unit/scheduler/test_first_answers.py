"""The first answer of a batch is recorded where its owner wants to be told, and nowhere else."""

from __future__ import annotations

import msgspec

from tests.support.events import ENDPOINT, KEY, WEBHOOK_CREATED
from tests.support.scheduling import World
from vbatch.contracts import events as e
from vbatch.contracts.ids import BatchId, OwnerId, SliceId

TYPES = ("batch.completed", "vbatch.batch.first_answer")
WISH = msgspec.structs.replace(WEBHOOK_CREATED, event_types=TYPES)


def changed_to(*event_types: str) -> e.WebhookUpdated:
    return e.WebhookUpdated(
        at=WISH.at, endpoint_id=ENDPOINT, name=WISH.name, url=WISH.url, event_types=event_types, by=KEY
    )


class OneBatch(World):
    """One batch of 200 requests on one runner, and these events before it."""

    def __init__(self, *before: e.AnyEvent) -> None:
        super().__init__()
        self.fold(*before)
        self.model("small")
        self.runner()
        self.batch_id: BatchId = self.created("a")
        self.validated(self.batch_id, 200)
        self.settle()

    def outcome(self, line: int, status_code: int = 200) -> list[e.AnyEvent]:
        """One outcome, and what is recorded because of it besides slices."""
        self.fold(self.chunk(self.state.slices[SliceId("s-1")].event, (line,), status_code))
        return [event for event in self.settle() if not isinstance(event, e.BatchDispatched)]

    def told(self) -> list[e.AnyEvent]:
        return [e.BatchFirstAnswered(batch_id=self.batch_id, at=self.now)]


def test_the_first_answer_is_told_once_and_an_error_is_no_answer():
    world = OneBatch(WISH)
    assert world.outcome(1, status_code=500) == []
    assert world.outcome(2) == world.told()
    assert world.outcome(3) == []


def test_where_nobody_wants_it_nothing_is_recorded():
    of_bob = msgspec.structs.replace(WISH, owner=OwnerId("bob"))
    other_types = msgspec.structs.replace(WISH, event_types=("batch.completed",))
    deleted = e.WebhookDeleted(at=WISH.at, endpoint_id=ENDPOINT, by=KEY)
    for before in ([], [of_bob], [other_types], [WISH, deleted]):
        assert OneBatch(*before).outcome(1) == []


def test_an_endpoint_that_changes_its_types_counts_from_then_on():
    assert OneBatch(WISH, changed_to("batch.completed")).outcome(1) == []
    assert len(OneBatch(WISH, changed_to("batch.completed"), changed_to(*TYPES)).outcome(1)) == 1


def test_whoever_wishes_for_it_after_the_first_answer_is_not_told_late():
    world = OneBatch()
    assert world.outcome(1) == []
    world.fold(WISH)
    assert world.outcome(2) == []


def test_the_next_scheduler_tells_what_this_one_could_not_record():
    world = OneBatch(WISH)
    world.fold(world.chunk(world.state.slices[SliceId("s-1")].event, (1,)))
    assert world.decide_only() == world.decide_only() == world.told()
