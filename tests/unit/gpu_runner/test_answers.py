from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.events import NO_USAGE, Usage
from vbatch.contracts.failures import RequestFault
from vbatch.contracts.ids import SliceId
from vbatch.gpu_runner.core.answers import NotJson, fault_outcome, outcome_of, usage_of
from vbatch.gpu_runner.core.feed import Request

REQUEST = Request(SliceId("s1"), 3, "c3", "/v1/chat/completions", b"{}")


def test_the_body_stays_byte_for_byte():
    body = '{ "a":1.50, "b":"Größe\\u2028", "c":1e5 }\n'.encode()
    outcome = outcome_of(REQUEST, 200, body, 0.5)
    assert bytes(outcome.body) == body
    assert (outcome.line, outcome.custom_id, outcome.status_code, outcome.seconds) == (3, "c3", 200, 0.5)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}},
            Usage(input_tokens=5, output_tokens=7, cached_tokens=4),
        ),
        (
            {"prompt_tokens": 5, "completion_tokens": 7, "completion_tokens_details": {"reasoning_tokens": 2}},
            Usage(input_tokens=5, output_tokens=7, reasoning_tokens=2),
        ),
        ({"prompt_tokens": 5, "total_tokens": 5, "prompt_tokens_details": None}, Usage(input_tokens=5)),
        (
            {"input_tokens": 5, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 1}},
            Usage(input_tokens=5, output_tokens=7, cached_tokens=1),
        ),
        ({"prompt_tokens": "many"}, NO_USAGE),
        ({"prompt_tokens": -1}, NO_USAGE),
        ({"prompt_tokens": 2**31}, NO_USAGE),
        ({"completion_tokens": 10**300}, NO_USAGE),
        (None, NO_USAGE),
    ],
)
def test_usage_is_read_in_every_shape(usage: object, expected: Usage):
    assert usage_of(msgspec.json.encode({"usage": usage})) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>no</html>",
        b'{"x": NaN}',
        b'{"x": 1} and more',
        b'{"x": "\xff"}',
        b'{"x": [1, 2}',
        b'{"usage": {"prompt_tokens": "many"}, "x": NaN}',
        b'{"x": "a\nb"}',
    ],
)
def test_what_is_no_json_is_never_passed_on(body: bytes):
    outcome = outcome_of(REQUEST, 200, body, 0.5)
    assert outcome.status_code is None
    assert outcome.error is not None and outcome.error.code is RequestFault.UNREADABLE_ANSWER


@pytest.mark.parametrize("body", [b"[1]", b"null", b'"text"', b'{"usage": []}'])
def test_json_of_another_shape_is_an_answer_without_usage(body: bytes):
    outcome = outcome_of(REQUEST, 200, body, 0.5)
    assert bytes(outcome.body) == body and outcome.usage == NO_USAGE


def test_an_error_answer_that_is_no_json_gets_the_envelope():
    outcome = outcome_of(REQUEST, 502, b"Bad \xff Gateway\n", 0.5)
    error = msgspec.json.decode(bytes(outcome.body))["error"]
    assert outcome.status_code == 502
    assert error == {"message": "Bad \ufffd Gateway", "type": "server_error", "param": None, "code": None}


def test_an_error_answer_that_is_json_stays_as_it_is():
    assert bytes(outcome_of(REQUEST, 400, b'{"detail":"no"}', 0.5).body) == b'{"detail":"no"}'


@pytest.mark.parametrize("status_code", [0, 100, 199, 600, 999, 70_000])
def test_a_status_that_is_none_is_an_error_of_its_line(status_code: int):
    outcome = outcome_of(REQUEST, status_code, b"{}", 0.5)
    assert outcome.status_code is None
    assert outcome.error is not None and outcome.error.code is RequestFault.UNREADABLE_ANSWER


def test_an_answer_nested_too_deep_is_no_answer():
    assert outcome_of(REQUEST, 200, b"[" * 100_000 + b"]" * 100_000, 0.5).error is not None


def test_a_fault_says_what_it_is():
    error = fault_outcome(REQUEST, RequestFault.REQUEST_TIMEOUT).error
    assert error is not None and error.message == "This request did not finish within its time limit."


@given(st.binary(max_size=200))
def test_whatever_the_engine_sends_becomes_json_or_an_error(body: bytes):
    for status in (200, 500):
        outcome = outcome_of(REQUEST, status, body, 0.0)
        msgspec.json.decode(msgspec.json.encode(outcome))


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_any_json_is_json(value: object):
    try:
        usage_of(msgspec.json.encode(value))
    except NotJson as error:
        raise AssertionError(value) from error
