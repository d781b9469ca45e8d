"""Who did what is told by headers alone."""

from __future__ import annotations

from tests.support.events import BATCH, BATCH_CREATED, KEY, SAMPLES
from vbatch.contracts.audit import ACTOR_HEADER, ADDRESS_HEADER, audit_entry, audit_subjects
from vbatch.contracts.catalogue import BY_TYPE
from vbatch.contracts.codec import encode
from vbatch.journal.rules import matches


def test_an_entry_names_actor_address_action_object_and_time():
    headers = dict(encode(BATCH_CREATED, source="gateway").headers) | {ACTOR_HEADER: KEY, ADDRESS_HEADER: "10.0.0.7"}
    entry = audit_entry(5, headers)
    assert entry is not None
    assert (entry.sequence, entry.actor, entry.address) == (5, KEY, "10.0.0.7")
    assert (entry.action, entry.object_id, entry.at) == ("batch.created", BATCH, BATCH_CREATED.at)


def test_what_a_service_did_by_itself_is_nobodys_deed():
    assert audit_entry(1, encode(BATCH_CREATED, source="gateway").headers) is None


def test_the_operator_is_known_by_the_source():
    entry = audit_entry(1, encode(BATCH_CREATED, source="operator").headers)
    assert entry is not None and (entry.actor, entry.address) == ("operator", None)


def test_whatever_a_gateway_writes_is_looked_at():
    subjects = audit_subjects()
    for sample in SAMPLES:
        kind = BY_TYPE[type(sample)]
        is_looked_at = any(matches(subject, kind.subject(sample)) for subject in subjects)
        assert is_looked_at or "gateway" not in kind.writers
