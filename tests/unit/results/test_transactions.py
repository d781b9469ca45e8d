"""How what arrives is cut into transactions, and what is done with what cannot be read."""

from tests.support.events import BATCH_CREATED, BATCH_VALIDATED, NOON
from vbatch.contracts import codec, events as e
from vbatch.contracts.message import Recorded
from vbatch.results.core.projection import State
from vbatch.results.flows.transacting import (
    TRANSACTION_BYTES_MAX,
    TRANSACTION_EVENTS_MAX,
    decode_all,
    fold,
    transactions,
)


def recorded(sequence: int, event: e.AnyEvent) -> Recorded:
    message = codec.encode(event, source="test")
    return Recorded(sequence, message.subject, message.headers, message.body, NOON)


def filler(sequence: int, size: int) -> Recorded:
    return Recorded(sequence, "evt.x.y.z", {}, b"x" * size, NOON)


def test_a_transaction_is_bounded_in_events():
    records = [filler(number, 1) for number in range(2 * TRANSACTION_EVENTS_MAX + 1)]
    assert [len(part) for part in transactions(records)] == [TRANSACTION_EVENTS_MAX, TRANSACTION_EVENTS_MAX, 1]


def test_a_transaction_is_bounded_in_bytes():
    records = [filler(number, TRANSACTION_BYTES_MAX // 2) for number in range(5)]
    assert [len(part) for part in transactions(records)] == [2, 2, 1]


def test_a_record_larger_than_a_transaction_has_one_of_its_own():
    records = [filler(1, 1), filler(2, TRANSACTION_BYTES_MAX + 1), filler(3, 1)]
    assert [[record.sequence for record in part] for part in transactions(records)] == [[1], [2], [3]]


def test_what_is_unreadable_or_misfit_is_buried_and_the_rest_goes_on():
    misfit = recorded(2, e.BatchValidated(batch_id=BATCH_CREATED.batch_id, total=9, last_line=1, models=(), at=NOON))
    records = [recorded(1, BATCH_CREATED), misfit, filler(3, 5), recorded(4, BATCH_VALIDATED)]
    state = State()
    changes, buried = fold(state, records, decode_all(records))
    assert [each.record.sequence for each in buried] == [2, 3]
    assert changes.batches[BATCH_CREATED.batch_id].status == "in_progress"
    assert state.sequence == changes.sequence == 4
