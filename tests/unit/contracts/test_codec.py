"""An event becomes a message and comes back the same, today and in every year to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from tests.support.events import BATCH_CREATED, CHUNK_COMPLETED, MODEL_LOADED, SAMPLES
from tests.support.paths import GOLDEN
from vbatch.contracts import codec
from vbatch.contracts.catalogue import BY_TYPE, KINDS
from vbatch.contracts.events import AnyEvent, ChunkCompleted, ChunkOutline, Event, ModelRegistered
from vbatch.contracts.failures import ReturnReason
from vbatch.contracts.message import Message, Recorded

BY_NAME = {BY_TYPE[type(sample)].name: sample for sample in SAMPLES}
MODEL_LOADING = msgspec.structs.replace(BY_NAME["runner.model_loading"], profile=())
MODEL_REGISTERED = next(event for event in SAMPLES if isinstance(event, ModelRegistered))
OLD_SAMPLES = {
    "vbatch.batch.created.v1": BATCH_CREATED,
    "vbatch.batch.created.v2": msgspec.structs.replace(BATCH_CREATED, priority=10),
    "vbatch.batch.chunk_completed.v1": CHUNK_COMPLETED,
    "vbatch.runner.model_loading.v1": MODEL_LOADING,
    "vbatch.runner.model_loaded.v1": MODEL_LOADED,
    "vbatch.model.registered.v1": MODEL_REGISTERED,
    "vbatch.model.registered.v2": MODEL_REGISTERED,
}


def recorded(message: Message) -> Recorded:
    return Recorded(1, message.subject, message.headers, message.body, datetime(2030, 1, 1, tzinfo=UTC))


def test_every_event_of_the_catalogue_has_a_sample():
    assert {kind.name for kind in KINDS} == set(BY_NAME)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_went(event: Event):
    assert codec.decode(recorded(codec.encode(event, source="test"))) == event


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.ce_type)
def test_a_shipped_version_reads_and_writes_the_same_bytes_for_ever(kind):
    golden = (GOLDEN / "events" / f"{kind.name}.v{kind.version}.json").read_bytes().rstrip(b"\n")
    event = BY_NAME[kind.name]
    assert msgspec.json.encode(event) == golden
    assert msgspec.json.decode(golden, type=kind.type) == event


@pytest.mark.parametrize("ce_type", codec.UPCASTS)
def test_a_version_that_is_no_longer_written_is_read_for_ever(ce_type: str):
    name = ce_type.removeprefix("vbatch.")
    old = replace(
        recorded(codec.encode(BY_NAME[name.rsplit(".", 1)[0]], source="test")),
        headers={"ce-type": ce_type},
        body=(GOLDEN / "events" / f"{name}.json").read_bytes(),
    )
    assert codec.decode(old) == OLD_SAMPLES[ce_type]


def test_the_same_event_always_has_the_same_message_id():
    first, second = (codec.encode(BY_NAME["batch.chunk_completed"], source="gpu-runner") for _ in range(2))
    assert first.message_id == second.message_id


def test_message_ids_tell_the_samples_apart():
    assert len({codec.encode(event, source="test").message_id for event in SAMPLES}) == len(SAMPLES)


def test_headers_are_cloudevents_in_binary_mode():
    message = codec.encode(BY_NAME["batch.created"], source="gateway")
    assert message.headers["ce-type"] == "vbatch.batch.created.v3"
    assert message.headers["ce-source"] == "/vbatch/gateway"
    assert message.headers["ce-id"] == message.message_id
    assert message.subject.split(".")[2] == message.headers["ce-subject"]


def test_a_chunk_can_be_read_without_its_answers():
    message = codec.encode(BY_NAME["batch.chunk_completed"], source="gpu-runner")
    whole, outline = codec.decode(recorded(message)), codec.decode_outline(recorded(message))
    assert isinstance(whole, ChunkCompleted) and isinstance(outline, ChunkOutline)
    assert [outcome.line for outcome in outline.outcomes] == [outcome.line for outcome in whole.outcomes]
    assert [outcome.is_success for outcome in outline.outcomes] == [outcome.is_success for outcome in whole.outcomes]


def test_the_engines_bytes_are_kept_to_the_letter():
    event = BY_NAME["batch.chunk_completed"]
    assert isinstance(event, ChunkCompleted)
    body = codec.encode(event, source="gpu-runner").body
    assert bytes(event.outcomes[0].body) in body


@pytest.mark.parametrize("body", [b"", b"{}", b'{"at": 1}', b"\xff"])
def test_noise_is_named_as_such(body: bytes):
    noise = replace(recorded(codec.encode(BY_NAME["batch.created"], source="gateway")), body=body)
    with pytest.raises(codec.Unreadable, match=r"batch\.created"):
        codec.decode(noise)


def test_an_event_of_an_unknown_type_is_named_as_such():
    stranger = replace(recorded(codec.encode(SAMPLES[0], source="x")), headers={"ce-type": "vbatch.file.eaten.v1"})
    with pytest.raises(codec.Unreadable, match="eaten"):
        codec.decode(stranger)


def test_an_old_version_is_brought_up_to_date_before_it_is_read(monkeypatch: pytest.MonkeyPatch):
    def rename(payload: codec.Payload) -> codec.Payload:
        return {**{key: value for key, value in payload.items() if key != "size"}, "bytes": payload["size"]}

    upcasts = {"vbatch.file.stored.v0": ("vbatch.file.stored.v1", rename)}
    monkeypatch.setattr(codec, "UPCASTS", upcasts)
    message = codec.encode(BY_NAME["file.stored"], source="gateway")
    old = replace(
        recorded(message),
        headers={"ce-type": "vbatch.file.stored.v0"},
        body=message.body.replace(b'"bytes"', b'"size"'),
    )
    assert codec.decode(old) == BY_NAME["file.stored"]


def test_the_return_of_a_part_and_the_return_of_the_rest_are_told_apart():
    rest = BY_NAME["batch.slice_returned"]
    part = msgspec.structs.replace(rest, reason=ReturnReason.PREEMPTED)
    first, second = (codec.encode(event, source="gpu-runner").message_id for event in (part, rest))
    assert first == f"{second}:preempted"


def test_the_union_of_all_events_is_the_catalogue_and_the_outline():
    assert set(get_args(AnyEvent)) == {kind.type for kind in KINDS} | {ChunkOutline}
