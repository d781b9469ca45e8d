from __future__ import annotations

import msgspec

from tests.unit.cli.canned_gateway import CHUNK, STORY
from vbatch.client.core.live_events import LiveEvent, event_of, live_event
from vbatch.client.core.progress import Progress, ProgressFold
from vbatch.contracts import events as e
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.lifecycle import BatchStatus


def sent(place: int, event: e.Event) -> LiveEvent:
    body = msgspec.json.encode(CHUNK if isinstance(event, e.ChunkCompleted) else event)
    return LiveEvent(place, BY_TYPE[type(event)].name, body.decode())


def told(*events: LiveEvent) -> Progress:
    fold = ProgressFold()
    for event in events:
        fold.apply(event)
    return fold.progress


def test_a_batch_is_told_from_its_events():
    progress = told(*(sent(place, event) for place, event in enumerate(STORY[:4], 1)))
    assert (progress.status, progress.completed, progress.failed) == (BatchStatus.IN_PROGRESS, 1, 2)
    assert (progress.answered, progress.input_tokens, progress.is_over, progress.event_id) == (3, 5, False, 4)


def test_the_end_brings_the_exact_counts():
    progress = told(*(sent(place, event) for place, event in enumerate(STORY, 1)))
    (end,) = [event for event in STORY if isinstance(event, e.BatchCompleted)]
    assert progress.is_over and progress.status is BatchStatus.COMPLETED
    assert (progress.total, progress.completed, progress.failed) == (
        end.counts.total,
        end.counts.completed,
        end.counts.failed,
    )


def test_a_chunk_that_comes_twice_counts_once():
    chunk = sent(4, next(event for event in STORY if isinstance(event, e.ChunkCompleted)))
    assert told(chunk, chunk).answered == 3


def test_an_event_that_is_not_known_here_changes_only_the_place():
    assert told(LiveEvent(9, "batch.invented_later", "{}")) == Progress(event_id=9)
    assert told(LiveEvent(9, "batch.validated", "no json")) == Progress(event_id=9)
    assert event_of(LiveEvent(9, "batch.invented_later", "{}")) is None


def test_a_record_that_was_seen_or_is_none_is_left_out():
    assert live_event("7", "batch.created", "{}", after=7) is None
    assert live_event("", "message", "x", after=0) is None
    assert live_event("8", "message", "", after=0) is None
    assert live_event("8", "batch.created", '{"a":1}', after=7) == LiveEvent(8, "batch.created", '{"a":1}')
    assert LiveEvent(8, "batch.created", '{"a":1}').fields() == {"a": 1}
