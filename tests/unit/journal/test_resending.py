"""Which dead letters can be sent again, and as what."""

from __future__ import annotations

from tests.support.events import NOON, SAMPLES
from vbatch.contracts import events as e
from vbatch.contracts.codec import encode
from vbatch.contracts.ids import BatchId
from vbatch.contracts.message import Message, Recorded
from vbatch.contracts.orders import CancelBatch, encode_order
from vbatch.journal.port import DeadLetter, Origin
from vbatch.journal.resending import again, fault_of

ORDER = encode_order(CancelBatch(epoch=7, batch_id=BatchId("b1")), subject="work.gpu0.7")


def letter(message: Message, origin: Origin = Origin.LOG) -> DeadLetter:
    headers = {**message.headers, "Nats-Msg-Id": message.message_id, "Nats-Expected-Stream": "EVT"}
    return DeadLetter(17, "poison", origin, Recorded(5, message.subject, headers, message.body, NOON))


def sample(kind: type[e.Event]) -> Message:
    return encode(next(each for each in SAMPLES if isinstance(each, kind)), source="test")


def test_a_readable_event_and_a_readable_order_are_of_use():
    assert fault_of(letter(sample(e.BatchCreated))) == ""
    assert fault_of(letter(ORDER, Origin.WORK)) == ""


def test_what_would_do_harm_or_cannot_be_read_says_why():
    assert "fence" in fault_of(letter(sample(e.SchedulerLeased)))
    assert "never stored it" in fault_of(letter(sample(e.BatchCreated), Origin.WRITE))
    broken = Message("evt.batch.b1.created", b"{", "x", {"ce-type": "vbatch.batch.created.v2"})
    assert "still cannot be read" in fault_of(letter(broken))
    assert "still cannot be read" in fault_of(letter(broken, Origin.WORK))


def test_a_message_is_sent_again_under_an_id_that_follows_from_the_letter():
    first, second = again(letter(sample(e.BatchCreated))), again(letter(sample(e.BatchCreated)))
    assert first == second and first.message_id.endswith(":retry:17")
    assert first.headers["ce-id"] == first.message_id
    assert not [name for name in first.headers if name.lower().startswith("nats-")]
