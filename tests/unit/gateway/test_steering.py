"""What an owner may ask of a batch's place in the queue."""

from dataclasses import replace

import pytest

from tests.support.events import BATCH, BATCH_CREATED, NOON
from vbatch.contracts import events as e
from vbatch.contracts.lifecycle import STEERABLE, BatchStatus
from vbatch.gateway.core.batches.create_batch import check_same_params, parse_create_batch
from vbatch.gateway.core.batches.steering import (
    Pause,
    Prioritize,
    Resume,
    SteeringCommand,
    parse_priority,
    steering_event,
)
from vbatch.gateway.core.records import batch_of
from vbatch.gateway.core.refusals import Refusal

READY = batch_of(BATCH_CREATED, 1)
PAUSED = replace(READY, paused_at=NOON)
ASK = b'{"input_file_id": "file-1", "endpoint": "/v1/embeddings", "completion_window": "24h", "priority": %b}'


@pytest.mark.parametrize(
    ("batch", "params", "event"),
    [
        (READY, Pause(), e.BatchPaused(batch_id=BATCH, at=NOON)),
        (PAUSED, Resume(), e.BatchResumed(batch_id=BATCH, at=NOON)),
        (READY, Prioritize(5), e.BatchPriorityChanged(batch_id=BATCH, priority=5, at=NOON)),
        (PAUSED, Pause(), None),
        (READY, Resume(), None),
        (READY, Prioritize(0), None),
    ],
)
def test_what_is_asked_is_made_so_unless_it_already_is(batch, params, event):
    assert steering_event(batch, params, NOON) == event


@pytest.mark.parametrize("status", [status for status in BatchStatus if status not in STEERABLE])
@pytest.mark.parametrize(
    ("params", "words"), [(Pause(), "pause"), (Resume(), "resume"), (Prioritize(5), "change the priority of")]
)
def test_a_batch_that_is_being_ended_is_not_steered(status: BatchStatus, params: SteeringCommand, words: str):
    with pytest.raises(Refusal, match=f"Cannot {words} a batch with status '{status}'") as refused:
        steering_event(replace(PAUSED, status=status), params, NOON)
    assert (refused.value.answer.status, refused.value.answer.headers["x-should-retry"]) == (409, "false")


@pytest.mark.parametrize("priority", [b"-100", b"0", b"100", b"null"])
def test_a_batch_may_be_created_with_a_priority(priority: bytes):
    assert parse_create_batch(ASK % priority).priority == (0 if priority == b"null" else int(priority))


@pytest.mark.parametrize("priority", [b"101", b"-101", b'"high"', b"1.5", b"true", b"false", b'""'])
def test_a_priority_is_a_whole_number_between_the_bounds(priority: bytes):
    for read, raw in ((parse_create_batch, ASK % priority), (parse_priority, b'{"priority": %b}' % priority)):
        with pytest.raises(Refusal) as refused:
            read(raw)
        assert refused.value.param == "priority"


def test_a_changed_priority_does_not_make_the_same_ask_another():
    batch = batch_of(BATCH_CREATED, 1)
    params = b'{"input_file_id": "%b", "endpoint": "%b", "completion_window": "24h", "metadata": {"project": "demo"}}'
    same = parse_create_batch(params % (batch.input_file_id.encode(), batch.endpoint.encode()))
    check_same_params(replace(batch, priority=50), same)
    with pytest.raises(Refusal):
        check_same_params(replace(batch, asked_priority=50), same)
