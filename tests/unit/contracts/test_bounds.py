"""No event can outgrow a message, whoever writes what: the largest of each kind is built from its types alone."""

from __future__ import annotations

import types
from datetime import UTC, datetime
from enum import EnumType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, strategies as st

from tests.support.events import SAMPLES, SLICE
from vbatch.contracts import codec, events as e, limits
from vbatch.contracts.bounds import (
    CUT_MARK_BYTES_MAX,
    Items,
    Json,
    Name,
    Text,
    Unbounded,
    cut,
    fits,
    hints_of,
    json_bytes_max,
    within_bounds,
)
from vbatch.contracts.catalogue import KINDS, EventKind
from vbatch.contracts.failures import FileFault, RequestFault, ReturnReason
from vbatch.contracts.ids import ID_BYTES_MAX, ModelId, SliceId
from vbatch.contracts.models import ModelDefinition
from vbatch.journal.port import Lease
from vbatch.journal.rules import outgoing_headers, wire_bytes
from vbatch.journal.settings import JournalSettings
from vbatch.scheduler.core.decide import SLICE_REQUESTS_MAX

WORST = "\x01"
"""One byte that JSON writes as six."""
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def largest(kind: Any, bound: object = None) -> Any:
    """The largest value of a type, with every field at its bound; Unbounded for a field without one."""
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        return largest(inner, next(note for note in notes if isinstance(note, Name | Text | Items | Json)))
    match bound:
        case Name() | Text():
            return WORST * bound.bytes_max
        case Items():
            return _largest_list(kind, bound.count_max)
        case Json():
            return _largest_json(kind, bound.bytes_max)
    if get_origin(kind) in (Union, types.UnionType):
        return max((largest(each) for each in get_args(kind)), key=lambda each: len(msgspec.json.encode(each)))
    if kind in ID_BYTES_MAX:
        return WORST * ID_BYTES_MAX[kind]
    if isinstance(kind, EnumType):
        return max(kind, key=lambda member: len(str(member)))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: largest(hint) for name, hint in hints_of(kind).items()})
    plain = {bool: False, int: -(2**63) + 1, float: -1.7976931348623157e308, datetime: LATEST, types.NoneType: None}
    if kind not in plain:
        raise Unbounded(f"{kind} has no bound in bytes")
    return plain[kind]


def _largest_list(kind: Any, count: int) -> Any:
    if get_origin(kind) is tuple:
        return (largest(get_args(kind)[0]),) * count
    key, value = (largest(each) for each in get_args(kind))
    return {f"{number:02}{key[2:]}": value for number in range(count)}


def _largest_json(kind: Any, size: int) -> Any:
    if kind is msgspec.Raw:
        return msgspec.Raw(b'"' + b"a" * (size - 2) + b'"')
    if kind is ModelDefinition:
        one = ModelDefinition(id=ModelId("m"), environment={"A": ""})
        return msgspec.structs.replace(one, environment={"A": "a" * (size - len(msgspec.json.encode(one)))})
    entry = largest(get_args(kind)[0])
    return (entry,) * max(1, (size - 2) // (len(msgspec.json.encode(entry)) + 1))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_largest_event_of_each_kind_fits_a_message(kind: EventKind):
    event = largest(kind.type)
    body = msgspec.json.encode(event)
    assert len(body) <= json_bytes_max(kind.type)
    assert kind.bytes_max <= limits.MESSAGE_BYTES_MAX == JournalSettings("nats://x", "x").message_bytes_max


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_the_headers_of_an_event_leave_room(event: e.Event):
    """With the longest ids there are, a guard, and what the largest trace context adds (W3C: 512 characters)."""
    message = codec.encode(msgspec.structs.replace(event, **_long_ids(event)), source="gpu-runner")
    lease = Lease("evt.runner." + "r" * 64 + ".lease", 2**63)
    guard = {
        "Nats-Expected-Last-Subject-Sequence": str(2**63),
        "Nats-Expected-Last-Subject-Sequence-Subject": lease.subject,
    }
    headers = outgoing_headers(message) | guard | {"tracestate": "t" * 512, "Nats-Expected-Stream": "EVT"}
    assert wire_bytes(headers, b"") <= limits.HEADERS_BYTES_MAX


def _long_ids(event: e.Event) -> dict[str, str]:
    hints = hints_of(type(event))
    return {name: "i" * min(256, ID_BYTES_MAX[hint]) for name, hint in hints.items() if hint in ID_BYTES_MAX}


def test_a_field_without_a_bound_is_found():
    class Careless(e.Event, frozen=True, kw_only=True):
        words: str

    with pytest.raises(Unbounded, match="words"):
        json_bytes_max(Careless)


def test_one_outcome_at_its_bounds_is_what_a_list_of_outcomes_has_room_for():
    assert json_bytes_max(e.Outcome) + 2 <= limits.OUTCOME_BYTES_MAX


def test_a_slice_is_shorter_than_its_bound():
    assert SLICE_REQUESTS_MAX <= limits.SLICE_LINES_MAX


@given(st.text(), st.integers(CUT_MARK_BYTES_MAX, 200))
def test_a_cut_text_is_a_beginning_and_never_too_long(text: str, bytes_max: int):
    found = cut(text, bytes_max)
    assert fits(found, bytes_max)
    if found != text:
        assert not fits(text, bytes_max)
        kept, mark, _ = found.rpartition("… [cut, ")
        assert mark and text.encode(errors="replace").decode().startswith(kept)


def test_every_text_of_an_event_is_cut_when_it_is_encoded():
    """Also of the structs inside of it, and only what is too long."""
    faults = tuple(e.BatchFault(code=FileFault.INVALID_METHOD, message=words) for words in ("short", "M" * 3_000_000))
    event = next(each for each in SAMPLES if isinstance(each, e.BatchRejected))
    rejected = within_bounds(msgspec.structs.replace(event, faults=faults))
    assert rejected.faults[0] is faults[0]
    assert rejected.faults[1].message.endswith("… [cut, 3000000 bytes]")


def test_the_error_of_an_outcome_is_cut_and_its_answer_is_not():
    error = e.RequestError(code=RequestFault.UNREADABLE_ANSWER, message="x" * 100_000)
    body = msgspec.Raw(b'"' + b"y" * 100_000 + b'"')
    chunk = next(each for each in SAMPLES if isinstance(each, e.ChunkCompleted))
    outcomes = (
        e.Outcome(line=1, custom_id="a", error=error),
        e.Outcome(line=2, custom_id="b", status_code=200, body=body),
    )
    found = within_bounds(msgspec.structs.replace(chunk, outcomes=outcomes)).outcomes
    assert found[0].error is not None and fits(found[0].error.message, limits.REQUEST_ERROR_BYTES_MAX)
    assert found[1] is outcomes[1]


def test_an_engines_last_words_are_cut():
    words = "ä" * 5_000_000
    returned = next(each for each in SAMPLES if isinstance(each, e.SliceReturned))
    message = codec.encode(
        msgspec.structs.replace(returned, slice_id=SliceId(SLICE), reason=ReturnReason.ENGINE_DIED, detail=words),
        source="gpu-runner",
    )
    assert len(message.body) < limits.DETAIL_BYTES_MAX + 1024
