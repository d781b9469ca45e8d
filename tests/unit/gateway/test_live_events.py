import json

from tests.support.events import BATCH, CHUNK_COMPLETED, NOON, SAMPLES
from vbatch.contracts import events as e
from vbatch.contracts.codec import decode_outline, encode
from vbatch.contracts.message import Recorded
from vbatch.gateway.core.live_events import event_body, is_last


def outline(event: e.Event) -> e.Event:
    message = encode(event, source="test")
    return decode_outline(Recorded(1, message.subject, message.headers, message.body, NOON))


def test_a_chunk_is_summed_up_without_its_answers():
    body = json.loads(event_body(outline(CHUNK_COMPLETED)))

    assert body["lines"] == [1, 2, 3]
    assert (body["succeeded"], body["failed"]) == (1, 2)
    assert body["usage"] == {"input_tokens": 5, "output_tokens": 7}
    assert body["batch_id"] == BATCH and "outcomes" not in body


def test_every_event_is_one_line_of_json():
    for event in SAMPLES:
        body = event_body(outline(event))
        assert b"\n" not in body and json.loads(body)["at"].startswith("2030-01-01T12:00:00")


def test_a_batch_is_over_with_its_seal_or_its_rejection():
    last = {type(event) for event in SAMPLES if is_last(event, cancel_came_before=False)}
    assert last == {e.BatchCompleted, e.BatchCancelled, e.BatchExpired, e.BatchRejected}


def test_a_rejection_after_a_cancel_ends_nothing():
    rejected = e.BatchRejected(batch_id=BATCH, faults=(), at=NOON)
    assert not is_last(rejected, cancel_came_before=True)
