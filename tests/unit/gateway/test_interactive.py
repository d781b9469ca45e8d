"""What is read of an interactive request, and how a stream that breaks says so."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import EngineKind, ModelDefinition
from vbatch.gateway.core.answer_usage import TokenCounts, usage_in, usage_in_events
from vbatch.gateway.core.interactive import EventSplitter, error_event, parse_interactive
from vbatch.gateway.core.refusals import Reason, Refusal, engine_lost

CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
MODELS = {ModelId("m"): ModelDefinition(id=ModelId("m"), engine=EngineKind.SIMULATED, endpoints=(CHAT, RESPONSES))}
PICTURE = {"type": "image_url", "image_url": {"url": "https://elsewhere.example/a.png"}}


def ask(body: Any, endpoint: str = CHAT) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_interactive(raw, endpoint, MODELS)


def test_the_body_stays_as_the_client_wrote_it():
    raw = b'{ "model":"m","stream" : true, "messages":[],"seed":1e3 }'
    found = ask(raw)
    assert (found.body, found.model, found.is_streamed) == (raw, "m", True)
    assert ask({"model": "m"}).is_streamed is False


@pytest.mark.parametrize(
    ("body", "endpoint", "reason", "param"),
    [
        (b"{", CHAT, Reason.BODY_UNREADABLE, None),
        (b"[]", CHAT, Reason.BODY_UNREADABLE, None),
        (b'{"model":"\xff"}', CHAT, Reason.BODY_UNREADABLE, None),
        ({}, CHAT, Reason.PARAMETER_MISSING, "model"),
        ({"model": 3}, CHAT, Reason.TYPE_INVALID, "model"),
        ({"model": "m", "stream": "yes"}, CHAT, Reason.TYPE_INVALID, "stream"),
        ({"model": "absent"}, CHAT, Reason.NO_SUCH_MODEL, "model"),
        ({"model": "m"}, EMBEDDINGS, Reason.ENDPOINT_UNSERVED, "model"),
        ({"model": "m", "messages": [{"role": "user", "content": [PICTURE]}]}, CHAT, Reason.VALUE_INVALID, "messages"),
        ({"model": "m", "chat_template": "{{ x }}"}, CHAT, Reason.VALUE_INVALID, "chat_template"),
    ],
)
def test_what_no_engine_should_get_is_refused_with_its_reason(body: Any, endpoint: str, reason: Reason, param: Any):
    with pytest.raises(Refusal) as refused:
        ask(body, endpoint)
    assert (refused.value.reason, refused.value.param) == (reason, param)


STREAM = b'data: {"a":1}\n\ndata: {"b":"x"}\n\n: comment\n\ndata: [DONE]\n\n'


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_only_whole_events_are_passed_on_and_all_of_them(cuts: list[int]):
    places = sorted({0, len(STREAM), *cuts})
    splitter, passed = EventSplitter(), b""
    for start, end in pairwise(places):
        events = splitter.feed(STREAM[start:end])
        assert events == b"" or events.endswith(b"\n\n")
        passed += events
    assert (passed, splitter.is_complete) == (STREAM, True)


def test_a_stream_that_stops_before_its_end_is_not_complete():
    splitter = EventSplitter()
    assert splitter.feed(b'data: {"a":1}\n\ndata: {"b') == b'data: {"a":1}\n\n'
    assert not splitter.is_complete


def test_a_streamed_response_is_complete_with_its_last_event():
    splitter = EventSplitter()
    splitter.feed(b'event: response.completed\ndata: {"type":"response.completed"}\n\n')
    assert splitter.is_complete


def test_an_endless_event_is_not_collected():
    splitter = EventSplitter()
    with pytest.raises(ValueError, match="larger than"):
        for _ in range(20):
            splitter.feed(b"data: " + b"x" * (1 << 20))


def test_the_last_event_of_a_broken_stream_is_an_error_in_the_form_of_its_endpoint():
    chat = error_event(engine_lost("It stopped."), CHAT)
    assert chat.startswith(b"data: ") and chat.endswith(b"\n\n")
    assert json.loads(chat[6:])["error"] == {
        "message": "It stopped.", "type": "server_error", "param": None, "code": "engine_lost",
    }  # fmt: skip
    name, data, *_ = error_event(engine_lost("It stopped."), RESPONSES).split(b"\n")
    assert name == b"event: error"
    assert json.loads(data[6:])["type"] == "error"


def test_tokens_are_counted_where_an_answer_tells_them():
    assert usage_in(b'{"usage":{"prompt_tokens":3,"completion_tokens":4}}') == TokenCounts(3, 4)
    assert usage_in(b'{"usage":{"input_tokens":3,"output_tokens":4}}') == TokenCounts(3, 4)
    assert usage_in(b"{}") is None
    assert usage_in(b"<html>") is None
    told = b'data: {"usage":null}\n\ndata: {"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\ndata: [DONE]\n\n'
    assert usage_in_events(told) == TokenCounts(3, 4)
    inner = b'data: {"type":"response.completed","response":{"usage":{"input_tokens":1,"output_tokens":2}}}\n\n'
    assert usage_in_events(inner) == TokenCounts(1, 2)
