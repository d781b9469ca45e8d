"""What may be sent, how big it is, and which subject a filter takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from vbatch.contracts.message import Message, Recorded
from vbatch.journal.jetstream import wire
from vbatch.journal.port import Conflict, Full, Origin, Rejected, Unavailable
from vbatch.journal.rules import dead_letter_of, from_dead_letter, matches, outgoing_headers, wire_bytes
from vbatch.journal.settings import JournalSettings


@pytest.mark.parametrize(
    ("subject_filter", "subject", "expected"),
    [
        ("evt.>", "evt.batch.b1.created", True),
        ("evt.>", "evt", False),
        ("evt.batch.*.created", "evt.batch.b1.created", True),
        ("evt.batch.*.created", "evt.batch.b1.x.created", False),
        ("evt.batch.b1.>", "evt.batch.b10.created", False),
        (">", "evt", True),
        ("evt.*", "evt.batch.b1", False),
    ],
)
def test_a_filter_takes_the_subjects_nats_would(subject_filter: str, subject: str, expected: bool):
    assert matches(subject_filter, subject) is expected


def test_the_size_is_that_of_the_encoded_block():
    headers = {"ce-id": "1", "ce-source": "/tést"}
    encoded = "NATS/1.0\r\nce-id: 1\r\nce-source: /tést\r\n\r\n".encode()
    assert wire_bytes(headers, b"body") == len(encoded) + 4


def test_the_message_keeps_its_own_headers_untouched():
    message = Message("evt.a.b.c", b"", "id", {"ce-id": "1"})
    assert outgoing_headers(message) == {"ce-id": "1", "Nats-Msg-Id": "id"}
    assert message.headers == {"ce-id": "1"}


def test_what_is_buried_can_be_dug_up_as_it_was():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    original = Recorded(7, "evt.a.b.c", {"ce-id": "1", "Nats-Msg-Id": "m"}, b"body", at)
    letter = dead_letter_of(original, "broken\n", Origin.LOG)
    stored = Recorded(1, letter.subject, outgoing_headers(letter), letter.body, at)
    assert from_dead_letter(stored).original == original
    assert from_dead_letter(stored).reason == "broken"


@pytest.mark.parametrize(
    ("code", "err_code", "meaning"),
    [
        (400, 10071, Conflict),
        (503, 10077, Full),
        (503, 10008, Unavailable),
        (400, 10164, Unavailable),
        (400, 10054, Rejected),
    ],
)
def test_each_error_of_the_server_has_one_meaning(code: int, err_code: int, meaning: type[Exception]):
    assert type(wire.refusal(wire.ApiError(code, err_code), "evt.a")) is meaning


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.EVT.name.2.41.7.1767225600000000000.0",
        "$JS.ACK._.hash.EVT.name.2.41.7.1767225600000000000.0.random",
    ],
)
def test_both_forms_of_a_delivery_subject_are_read(reply: str):
    assert wire.delivery_tokens(reply) == (2, 41, 7, 1767225600000000000)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "two.tokens"},
        {"nkey_seed": "SU", "credentials_file": "x.creds"},
        {"tail_buffer_bytes": 1},
        {"deadline_seconds": 3600.0},
        {"in_flight_messages_max": 0},
        {"replicas": 2},
    ],
)
def test_settings_that_could_lose_or_stall_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError):
        JournalSettings(**{"url": "nats://x", "name": "x", **wrong})
