"""What the log of a campaign may hold, and what not."""

from __future__ import annotations

import msgspec

from tests.chaos.history import Entry
from tests.chaos.verdict import Reading
from tests.support.events import BATCH_DISPATCHED, NOON, RUNNER
from vbatch.contracts import events as e
from vbatch.contracts.ids import SliceId


def leased() -> e.Event:
    return e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=1, pid=1, at=NOON)


def dispatched(slice_id: str, epoch: int) -> e.Event:
    return msgspec.structs.replace(BATCH_DISPATCHED, slice_id=SliceId(slice_id), epoch=epoch)


def violations(*events: e.Event) -> list[str]:
    entries = [Entry(sequence, NOON, event) for sequence, event in enumerate(events, start=1)]
    return Reading().fold(entries).violations


def test_lines_may_not_be_on_two_slices_of_one_life():
    [found] = violations(leased(), dispatched("s1", 1), dispatched("s2", 1))
    assert "two slices at once" in found


def test_the_next_life_gets_the_lines_of_the_one_before():
    assert violations(leased(), dispatched("s1", 1), leased(), dispatched("s2", 3)) == []


def test_what_was_decided_for_a_life_that_had_just_ended_is_on_no_slice():
    assert violations(leased(), leased(), dispatched("s1", 1), dispatched("s2", 2)) == []
