import json

import pytest

from tests.support.events import NOON, SAMPLES
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.codec import decode_outline, encode
from vbatch.contracts.events import (
    AccessEvent,
    BatchPaused,
    ChunkOutline,
    DeadLetterDropped,
    DeadLetterRetried,
    FileStored,
    WebhookEvent,
)
from vbatch.contracts.message import Recorded
from vbatch.gateway.core.event_log import AGGREGATES, owner_named_in, parse_events_params, shown, subject_filter
from vbatch.gateway.core.refusals import Refusal

SHOWN_SAMPLES = [event for event in SAMPLES if BY_TYPE[type(event)].aggregate in AGGREGATES]


def recorded(event) -> Recorded:
    message = encode(event, source="test")
    return Recorded(7, message.subject, message.headers, message.body, NOON)


def test_every_event_is_shown_with_a_sentence_and_without_answers():
    for event in SHOWN_SAMPLES:
        record = recorded(event)
        told = shown(record, decode_outline(record))
        assert told.sentence and told.sequence == 7 and told.aggregate in AGGREGATES
        assert "outcomes" not in json.loads(bytes(told.data))


def test_frequent_events_are_left_out_unless_all_are_asked_for():
    milestones, everything = parse_events_params({}), parse_events_params({"detail": "all"})
    chunks = [record for record in map(recorded, SHOWN_SAMPLES) if isinstance(decode_outline(record), ChunkOutline)]
    assert chunks and not any(milestones.wants(record) for record in chunks)
    assert all(everything.wants(record) for record in map(recorded, SHOWN_SAMPLES))


def test_events_can_be_asked_for_by_what_they_are_about():
    params = parse_events_params({"aggregate": "file,batch"})
    assert {kind.aggregate for kind in params.kinds} == {"file", "batch"}


@pytest.mark.parametrize(
    "query", [{"aggregate": "engine"}, {"detail": "some"}, {"limit": "0"}, {"limit": "201"}, {"before": "x"}]
)
def test_an_ask_out_of_bounds_is_refused(query):
    with pytest.raises(Refusal):
        parse_events_params(query)


def test_a_subject_filter_finds_the_subject_of_its_event():
    paused = next(event for event in SHOWN_SAMPLES if isinstance(event, BatchPaused))
    kind = next(kind for kind in parse_events_params({}).kinds if kind.type is BatchPaused)
    assert subject_filter(kind, paused.batch_id) == recorded(paused).subject


def test_a_stored_file_names_its_owner():
    stored = next(event for event in SHOWN_SAMPLES if isinstance(event, FileStored))
    assert owner_named_in(stored) == stored.owner


def test_keys_quotas_webhooks_and_dead_letters_are_in_nobodys_log():
    kinds = AccessEvent | WebhookEvent | DeadLetterRetried | DeadLetterDropped
    hidden = [event for event in SAMPLES if isinstance(event, kinds)]
    assert hidden and not any(parse_events_params({"detail": "all"}).wants(recorded(event)) for event in hidden)
